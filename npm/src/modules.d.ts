/** What bundlers and runtimes give for a Wasm file that is imported: the module, compiled. */

declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}

declare module '*.wasm?module' {
  const module: WebAssembly.Module;
  export default module;
}
