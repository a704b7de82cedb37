/** The changelog's section of a version, without its heading; "" if there is none or it is empty. */
export function notesOf(changelog: string, version: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => text.split(/[\s(]/, 1)[0]?.replace(/[[\]]/g, "") === version);
  return section?.slice(section.indexOf("\n")).trim() ?? "";
}
