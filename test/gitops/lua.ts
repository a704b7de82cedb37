import fengari from "fengari";

const { lua, lauxlib, lualib, to_luastring } = fengari;

/**
 * Runs a health script as Argo CD does: with the resource as the global `obj`, and only the libraries base and table.
 *
 * @returns the fields status and message of its result
 * @throws Error with Lua's message
 */
export function healthOf(script: string, resource: object): { status: string; message: string } {
  const state = lauxlib.luaL_newstate();
  lauxlib.luaL_requiref(state, to_luastring("_G"), lualib.luaopen_base, 1);
  lauxlib.luaL_requiref(state, to_luastring("table"), lualib.luaopen_table, 1);
  lua.lua_pop(state, 2);
  const code = to_luastring(`obj = ${literal(resource)}\n${script}`);
  if (lauxlib.luaL_loadstring(state, code) !== 0 || lua.lua_pcall(state, 0, 1, 0) !== 0) {
    throw new Error(lua.lua_tojsstring(state, -1));
  }
  const field = (name: string) => {
    lua.lua_getfield(state, -1, to_luastring(name));
    const text = lua.lua_tojsstring(state, -1);
    lua.lua_pop(state, 1);
    return text;
  };
  return { status: field("status"), message: field("message") };
}

/** A value of JSON as Lua. */
function literal(value: unknown): string {
  if (value === null || value === undefined) return "nil";
  if (Array.isArray(value)) return `{${value.map(literal).join(", ")}}`;
  if (typeof value === "object") {
    const fields = Object.entries(value).map(([key, one]) => `[${quoted(key)}] = ${literal(one)}`);
    return `{${fields.join(", ")}}`;
  }
  return typeof value === "string" ? quoted(value) : String(value);
}

function quoted(text: string): string {
  const bytes = [...Buffer.from(text)].map((byte) => `\\${String(byte).padStart(3, "0")}`);
  return `"${bytes.join("")}"`;
}
