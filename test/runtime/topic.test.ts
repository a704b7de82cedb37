import { expect, it } from "vitest";
import { Topic } from "../../src/runtime/topic.ts";

it("delivers a message to every subscriber, in the order of the subscriptions, before publish returns", () => {
  const topic = new Topic<[name: string, count: number]>();
  const { publish } = topic;
  const taken: string[] = [];
  publish("nobody", 0);
  topic.subscribe((name, count) => taken.push(`first ${name} ${count}`));
  topic.subscribe((name) => taken.push(`second ${name}`));
  publish("a", 1);
  expect(taken).toEqual(["first a 1", "second a"]);
});
