import { describe, expect, it } from "vitest";
import { Proxies } from "../../src/runtime/proxies.ts";

const proxy = "http://proxy.test:3128";
const viaProxy = (url: string, env: Record<string, string>) =>
  new Proxies({ HTTPS_PROXY: proxy, HTTP_PROXY: proxy, ...env }).for(new URL(url)) !== undefined;

describe("the environment's proxies, by Go's rules", () => {
  it("are set for each scheme", () => {
    const both = new Proxies({ HTTPS_PROXY: "http://a.test:1", HTTP_PROXY: "b.test:2" });
    expect(both.for(new URL("https://x.test"))).toMatchObject({ label: "a.test:1", variable: "HTTPS_PROXY" });
    expect(both.for(new URL("http://x.test"))).toMatchObject({ label: "b.test:2", variable: "HTTP_PROXY" });
    expect(new Proxies({ HTTP_PROXY: proxy }).for(new URL("https://x.test"))).toBeUndefined();
    expect(new Proxies({}).for(new URL("https://x.test"))).toBeUndefined();
  });

  it("prefer upper-case variables, and ignore empty ones", () => {
    const { label, variable } = new Proxies({ HTTPS_PROXY: "", https_proxy: "small.test:1" }).all[0]!;
    expect([label, variable]).toEqual(["small.test:1", "https_proxy"]);
    expect(new Proxies({ HTTPS_PROXY: "http://big.test", https_proxy: "small.test" }).all[0]!.label).toBe(
      "big.test:80",
    );
    expect(new Proxies({ HTTPS_PROXY: "https://tls.test" }).all[0]!.label).toBe("tls.test:443");
  });

  it.each(["socks5://proxy.test:1080", "http://", "ftp://x", "http://a b", "://"])("refuse %s", (text) => {
    expect(() => new Proxies({ https_proxy: text })).toThrow(
      /^https_proxy names no proxy that can be used: write http/,
    );
  });

  it("do not quote a refused value, which may contain a password", () => {
    expect(() => new Proxies({ HTTPS_PROXY: "socks5://me:hunter2@x" })).toThrow(/^(?!.*hunter2)/);
    expect(new Proxies({ HTTPS_PROXY: "http://me:hunter2@x:1" }).all[0]!.label).toBe("x:1");
  });

  it.each(["https://localhost", "https://127.0.0.1:8443", "https://127.9.9.9", "https://[::1]:6443"])(
    "%s is never proxied",
    (url) => expect(viaProxy(url, {})).toBe(false),
  );

  it.each<[string, string, boolean]>([
    ["amazonaws.com", "https://kms.eu-west-1.amazonaws.com", false],
    ["amazonaws.com", "https://amazonaws.com", false],
    ["amazonaws.com", "https://notamazonaws.com", true],
    [".amazonaws.com", "https://kms.eu-west-1.amazonaws.com", false],
    [".amazonaws.com", "https://amazonaws.com", true],
    ["*.amazonaws.com", "https://kms.eu-west-1.amazonaws.com", false],
    ["*.amazonaws.com", "https://amazonaws.com", true],
    ["AmazonAWS.com.", "https://KMS.amazonaws.com", false],
    ["*", "https://anything.test", false],
    ["a.test, b.test", "https://b.test", false],
    ["a.test b.test", "https://b.test", false],
    ["a.test:443", "https://a.test", false],
    ["a.test:8443", "https://a.test", true],
    ["a.test:8443", "https://a.test:8443", false],
    ["10.96.0.1", "https://10.96.0.1", false],
    ["10.96.0.1:6443", "https://10.96.0.1", true],
    ["10.0.0.0/8", "https://10.96.0.1:443", false],
    ["10.0.0.0/8", "https://11.0.0.1", true],
    ["10.0.0.0/8", "https://ten.test", true],
    ["fd00::/8", "https://[fd00::1]:6443", false],
    ["fd00::1", "https://[fd00::1]", false],
    ["[fd00::1]:443", "https://[fd00::1]", false],
    ["[fd00::1]:6443", "https://[fd00::1]", true],
    ["10.0.0.0/99,,:,[", "https://10.0.0.1", true],
    [".svc,.cluster.local", "https://kubernetes.default.svc", false],
    ["bücher.test", "https://www.bücher.test", false],
  ])("NO_PROXY=%s, %s", (no_proxy, url, expected) => {
    expect(viaProxy(url, { no_proxy })).toBe(expected);
    expect(viaProxy(url, { NO_PROXY: no_proxy })).toBe(expected);
  });
});
