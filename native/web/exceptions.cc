// Errors are C++ exceptions inside a module, as elsewhere in the engine, and never leave it: native/abi.cc turns each
// into a code and a message. They are WebAssembly's own exceptions, in the encoding that Chrome 95, Firefox 100,
// Safari 15.2 and Node.js 17 know, older than what the vectors need. The runtime is LLVM's (scripts/build-wasm.js).
//
// Why not a trap after the message was stored: it would skip destructors. What a failed compilation holds would be
// lost, and what lives on (cached plans, statics that were being initialized) could be left half done. With exceptions
// a call that failed frees what it took, also where memory runs out, and the instance goes on. A trap remains for what
// must not happen; the host then refuses further calls of that instance (src/runtime/wasm-module.ts).
//
// The tag of C++ exceptions, which LLVM's runtime refers to and leaves to whoever links:
__asm__(
    ".globl __cpp_exception\n"
    ".tagtype __cpp_exception i32\n"
    "__cpp_exception:\n");
