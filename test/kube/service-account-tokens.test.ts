import { beforeEach, describe, expect, it } from "vitest";
import { KubeError } from "../../src/kube/errors.ts";
import { ServiceAccountTokens } from "../../src/kube/service-account-tokens.ts";
import { FakeClock } from "../support/clock.ts";

const minute = 60_000;
const checkout = { namespace: "shop", name: "checkout" };

let clock: FakeClock;
let requests: { of: string; spec: object }[];
let answer: () => Promise<{ lifetimeMs: number }>;
let random: number;
const tokensOf = (maxTokens?: number) =>
  new ServiceAccountTokens({
    client: {
      requestToken: async ({ namespace, name }, spec) => {
        requests.push({ of: `${namespace}/${name}`, spec });
        const number = requests.length;
        const { lifetimeMs } = await answer();
        // The API server's clock is three hours ahead.
        const at = clock.now() + 180 * minute;
        return {
          metadata: { name, creationTimestamp: new Date(at).toISOString() },
          status: { token: `token-${number}`, expirationTimestamp: new Date(at + lifetimeMs).toISOString() },
        };
      },
    },
    clock,
    random: () => random,
    audience: "sts.amazonaws.com",
    ...(maxTokens === undefined ? {} : { maxTokens }),
  });
const textOf = async (tokens: ServiceAccountTokens, account = checkout) =>
  Buffer.from((await tokens.token(account)).reveal()).toString();

beforeEach(() => {
  clock = new FakeClock();
  requests = [];
  random = 0;
  answer = async () => ({ lifetimeMs: 60 * minute });
});

describe("the token of a ServiceAccount", () => {
  it("is requested for one audience and an hour, once for concurrent callers", async () => {
    const tokens = tokensOf();
    const all = await Promise.all([textOf(tokens), textOf(tokens), textOf(tokens)]);
    expect(all).toEqual(["token-1", "token-1", "token-1"]);
    expect(requests).toEqual([
      { of: "shop/checkout", spec: { audiences: ["sts.amazonaws.com"], expirationSeconds: 3_600 } },
    ]);
  });

  it.each([
    ["is renewed after four fifths of its lifetime, by whatever clock the API server has", 0, 60, 48],
    ["is renewed up to a tenth of its lifetime earlier, at random", 1, 60, 42],
    ["is renewed after four fifths of the lifetime that the API server grants", 0, 10, 8],
  ])("%s", async (_, jitter, lifetime, renewedAt) => {
    random = jitter;
    answer = async () => ({ lifetimeMs: lifetime * minute });
    const tokens = tokensOf();
    await textOf(tokens);
    await clock.advance(renewedAt * minute - 1_000);
    expect(await textOf(tokens)).toBe("token-1");
    await clock.advance(2_000);
    expect(await textOf(tokens)).toBe("token-2");
  });

  it("is used until its end while the API server does not answer, and not longer", async () => {
    const tokens = tokensOf();
    await textOf(tokens);
    answer = () => Promise.reject(new KubeError("unavailable", "no answer"));
    await clock.advance(59 * minute);
    expect(await textOf(tokens)).toBe("token-1");
    await clock.advance(minute);
    await expect(tokens.token(checkout)).rejects.toThrow("no answer");
  });

  it.each(["notFound", "forbidden"] as const)("is dropped when its renewal is %s", async (kind) => {
    const tokens = tokensOf();
    await textOf(tokens);
    answer = () => Promise.reject(new KubeError(kind, "refused"));
    await clock.advance(50 * minute);
    await expect(tokens.token(checkout)).rejects.toThrow("refused");
    expect(tokens.size).toBe(0);
  });

  it("is dropped from memory before it expires, also if nobody asks again", async () => {
    const tokens = tokensOf();
    await textOf(tokens);
    expect(tokens.size).toBe(1);
    await clock.advance(60 * minute);
    expect(tokens.size).toBe(0);
  });

  it("is requested anew after it was refused, or released", async () => {
    const tokens = tokensOf();
    const refused = await tokens.token(checkout);
    tokens.forget(checkout, refused);
    expect(await textOf(tokens)).toBe("token-2");
    tokens.forget(checkout, refused);
    expect(await textOf(tokens)).toBe("token-2");
    tokens.release(checkout);
    expect(await textOf(tokens)).toBe("token-3");
  });

  it("is one of a bounded number", async () => {
    const tokens = tokensOf(2);
    for (const namespace of ["a", "b", "c"]) await textOf(tokens, { namespace, name: "x" });
    expect(tokens.size).toBe(2);
    expect(await textOf(tokens, { namespace: "c", name: "x" })).toBe("token-3");
    expect(await textOf(tokens, { namespace: "a", name: "x" })).toBe("token-4");
    tokens.clear();
    expect(tokens.size).toBe(0);
  });

  it("is never printed", async () => {
    const token = await tokensOf().token(checkout);
    expect(`${token} ${JSON.stringify({ token })}`).not.toContain("token-1");
  });
});
