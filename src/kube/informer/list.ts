import type { ListPage } from "./list-watch.ts";
import { faultOf } from "./watch-fault.ts";

/** Objects per page, as in client-go's pager. */
const pageSize = 500;

/** Maximum pages of one list: a million objects. Guards against a server that returns continue tokens without end. */
const maxPages = 2000;

/** The parameters that differ between the requests of one list. */
export interface PageRequest {
  limit?: number;
  continue?: string;
  resourceVersion?: string;
}

/**
 * Lists all objects page by page, as client-go's tools/pager does. A list at a known resourceVersion is not paged,
 * because the server's watch cache answers only unpaged lists. Only the first page's request has the version. If a
 * later page has expired (410), the whole list is requested once without pages.
 *
 * @param ask sends one request
 * @param resourceVersion "" for the newest state, "0" for any state, otherwise the minimum version
 * @param keep maps an item to the object to keep, or to undefined to skip it
 * @throws the error of `ask`, and an Error if the pages do not form a complete list
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
    if (pages >= maxPages || tokens.has(token)) throw new Error("pages of the list do not end");
    tokens.add(token);
    let page: ListPage<T>;
    try {
      page = await ask({ ...paged, continue: token });
    } catch (error) {
      if (faultOf(error).kind !== "gone") throw error;
      const whole = await ask(version);
      if (whole.continue) throw new Error("the server answered a list without a limit in pages");
      items.length = 0;
      take(whole);
      return { items, resourceVersion: whole.resourceVersion };
    }
    take(page);
    token = page.continue;
  }
  return { items, resourceVersion: first.resourceVersion };
}
