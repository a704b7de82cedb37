import fc from "fast-check";
import { expect, it } from "vitest";
import { MutationCache } from "../../src/controllers/mutation-cache.ts";
import { FakeClock } from "../support/clock.ts";

/** One Secret with several writers, a cache behind a watch that lags and skips, and the mutation cache over it. */
type Step = "ours" | "theirs" | "show" | "answer" | "skip";

it("never hides the last foreign change, and shows our own write once it was answered", () => {
  const steps = fc.array(fc.constantFrom<Step>("ours", "theirs", "show", "answer", "skip"), { maxLength: 40 });
  fc.assert(
    fc.property(steps, (plan) => {
      const mutations = new MutationCache<string>(new FakeClock());
      const history: { version: string; isOurs: boolean }[] = [{ version: "v0", isOurs: false }];
      let shown = 0;
      let pending: { version: string; base: string } | undefined;
      let told = false;
      let sure = true;
      const cached = () => history[shown]!.version;
      // An unsure state is read live.
      const view = () => (sure ? (mutations.get("key")?.value ?? cached()) : history.at(-1)!.version);
      const show = (by: number) => {
        shown = Math.min(shown + by, history.length - 1);
        const change = mutations.take("key", cached());
        if (change === "unsure") sure = false;
        if (change === "news" || change === "unsure") told = true;
      };
      const answer = () => {
        if (!pending) return;
        const { version, base } = pending;
        pending = undefined;
        const relation = mutations.note("key", version, version, base);
        if (relation === "unsure") sure = false;
        if (relation === "news" || relation === "unsure") told = true;
        if (history.at(-1)!.version === version) expect(view()).toBe(version);
      };
      for (const step of plan) {
        const last = history.at(-1)!.version;
        if (step === "ours" && !pending && view() === last) {
          // The precondition: a write succeeds only on the current version.
          mutations.begin("key", cached());
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

it("reports no news when our own write comes back, before its response or after it", () => {
  const mutations = new MutationCache<string>(new FakeClock());
  mutations.begin("key", "1");
  mutations.note("key", "ours", "2", "1");
  expect(mutations.get("key")?.value).toBe("ours");
  expect(mutations.take("key", "2")).toBe("ours");
  expect(mutations.get("key")).toBeUndefined();

  mutations.begin("key", "2");
  expect(mutations.take("key", "3")).toBe("underWay");
  expect(mutations.note("key", "ours", "3", "2")).toBe("ours");
  expect(mutations.get("key")).toBeUndefined();
  expect(mutations.take("key", "4")).toBe("news");
});

it("expires after half a minute: a watch that lags longer is trusted again", async () => {
  const clock = new FakeClock();
  const mutations = new MutationCache<string>(clock);
  mutations.begin("key", "1");
  mutations.note("key", "ours", "9", "8");
  expect(mutations.take("key", "8")).toBe("older");
  await clock.advance(30_000);
  expect(mutations.get("key")).toBeUndefined();
  expect(mutations.take("key", "12")).toBe("news");
});
