/** The part that is used of fengari, a Lua 5.3 in JavaScript. The package has no types of its own. */
declare module "fengari" {
  const fengari: {
    lua: {
      lua_pcall(state: object, args: number, results: number, handler: number): number;
      lua_tojsstring(state: object, index: number): string;
      lua_getfield(state: object, index: number, key: Uint8Array): number;
      lua_pop(state: object, count: number): void;
    };
    lauxlib: {
      luaL_newstate(): object;
      luaL_loadstring(state: object, code: Uint8Array): number;
      luaL_requiref(state: object, name: Uint8Array, open: unknown, global: number): void;
    };
    lualib: { luaopen_base: unknown; luaopen_table: unknown };
    to_luastring(text: string): Uint8Array;
  };
  export default fengari;
}
