import fc from "fast-check";
import { expect, it } from "vitest";
import { MutationCache } from "../../src/controllers/mutation-cache.ts";
import { FakeClock } from "../support/clock.ts";

/** One Secret under several writers, its cache behind a watch that lags and skips, and the overlay over that cache. */
type Step = "ours" | "theirs" | "show" | "answer" | "skip";

it("never hides the last change by somebody else, and shows our own as soon as it was answered", () => {
  const steps = fc.array(fc.constantFrom<Step>("ours", "theirs", "show", "answer", "skip"), { maxLength: 40 });
  fc.assert(
    fc.property(steps, (plan) => {
      const overlay = new MutationCache<string>(new FakeClock());
      const history: { version: string; isOurs: boolean }[] = [{ version: "v0", isOurs: false }];
      let shown = 0;
      let pending: { version: string; base: string } | undefined;
      let told = false;
      let sure = true;
      const cached = () => history[shown]!.version;
      // What is unsure is looked at live.
      const view = () => (sure ? (overlay.get("key")?.value ?? cached()) : history.at(-1)!.version);
      const show = (by: number) => {
        shown = Math.min(shown + by, history.length - 1);
        const change = overlay.take("key", cached());
        if (change === "unsure") sure = false;
        if (change === "news" || change === "unsure") told = true;
      };
      const answer = () => {
        if (!pending) return;
        const { version, base } = pending;
        pending = undefined;
        if (!overlay.note("key", version, version, base)) sure = false;
        if (history.at(-1)!.version === version) expect(view()).toBe(version);
      };
      for (const step of plan) {
        const last = history.at(-1)!.version;
        if (step === "ours" && !pending && view() === last) {
          // The precondition: a write succeeds only upon the version that is there.
          overlay.begin("key", cached());
          const version = `v${history.length}`;
          history.push({ version, isOurs: true });
          pending = { version, base: last };
          [told, sure] = [false, true];
        } else if (step === "theirs") history.push({ version: `v${history.length}`, isOurs: false });
        else if (step === "show" && shown < history.length - 1) show(1);
        else if (step === "skip" && shown < history.length - 1) show(history.length);
        else if (step === "answer") answer();
      }
      answer();
      while (shown < history.length - 1) show(1);
      const last = history.at(-1)!;
      expect(view()).toBe(last.version);
      const since = history.findLastIndex(({ isOurs }) => isOurs);
      if (!last.isOurs && since >= 0) expect(told).toBe(true);
    }),
    { numRuns: 20_000 },
  );
});

it("tells nothing new when our own write comes back, before its answer or after it", () => {
  const overlay = new MutationCache<string>(new FakeClock());
  overlay.begin("key", "1");
  overlay.note("key", "ours", "2", "1");
  expect(overlay.get("key")?.value).toBe("ours");
  expect(overlay.take("key", "2")).toBe("ours");
  expect(overlay.get("key")).toBeUndefined();

  overlay.begin("key", "2");
  overlay.take("key", "3");
  overlay.note("key", "ours", "3", "2");
  expect(overlay.get("key")).toBeUndefined();
  expect(overlay.take("key", "4")).toBe("news");
});

it("counts for half a minute: a watch that lags longer is believed again", async () => {
  const clock = new FakeClock();
  const overlay = new MutationCache<string>(clock);
  overlay.begin("key", "1");
  overlay.note("key", "ours", "9", "8");
  expect(overlay.take("key", "8")).toBe("older");
  await clock.advance(30_000);
  expect(overlay.get("key")).toBeUndefined();
  expect(overlay.take("key", "12")).toBe("news");
});
