// WebAssembly as Node has it. TypeScript declares it among the types of the browser only, which would let a window into the code here.
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
  }

  function compile(bytes: Uint8Array): Promise<Module>;
  function validate(bytes: Uint8Array): boolean;

  class Memory {
    readonly buffer: ArrayBuffer;
  }

  class Instance {
    constructor(module: Module, imports?: Record<string, Record<string, (...args: number[]) => unknown>>);
    readonly exports: Record<string, unknown>;
  }
}
