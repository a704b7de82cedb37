import type { ListPage } from "./list-watch.ts";
import { faultOf } from "./watch-fault.ts";

/** Objects a page: client-go's pager. */
const pageSize = 500;

/** Pages of one list: a million objects. A server that goes on for longer hands out tokens without end. */
const mostPages = 2000;

/** What differs from one request of a list to the next. */
export interface PageRequest {
  limit?: number;
  continue?: string;
  resourceVersion?: string;
}

/**
 * Lists everything, page by page, as client-go's pager does (tools/pager). A list at a known resourceVersion goes
 * without pages, because only so does the server's watch cache answer it; the version is sent with the first page
 * only. When a later page has expired (410), the whole is asked for once more without pages.
 *
 * @param ask sends one request
 * @param resourceVersion "" for the newest state, "0" for any, else one that the answer must not be older than
 * @param keep gives what is kept of an item, or undefined to pass over it
 * @throws what `ask` throws, and an Error when the pages cannot be made a whole
 */
export async function listAll<T, K>(
  ask: (request: PageRequest) => Promise<ListPage<T>>,
  resourceVersion: string,
  keep: (item: T) => K | undefined,
): Promise<{ items: K[]; resourceVersion: string }> {
  const items: K[] = [];
  const take = (page: ListPage<T>) => {
    for (const item of page.items) {
      const kept = keep(item);
      if (kept !== undefined) items.push(kept);
    }
  };
  const paged = resourceVersion === "" || resourceVersion === "0" ? { limit: pageSize } : {};
  const version = resourceVersion === "" ? {} : { resourceVersion };
  const first = await ask({ ...paged, ...version });
  take(first);
  let token = first.continue;
  const tokens = new Set<string>();
  for (let pages = 1; token; pages++) {
    if (pages >= mostPages || tokens.has(token)) throw new Error("the pages of a list do not end");
    tokens.add(token);
    let page: ListPage<T>;
    try {
      page = await ask({ ...paged, continue: token });
    } catch (error) {
      if (faultOf(error).kind !== "gone") throw error;
      const whole = await ask(version);
      if (whole.continue) throw new Error("a list without a limit came in pages");
      items.length = 0;
      take(whole);
      return { items, resourceVersion: whole.resourceVersion };
    }
    take(page);
    token = page.continue;
  }
  return { items, resourceVersion: first.resourceVersion };
}
