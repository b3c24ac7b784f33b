// The tag of C++ exceptions, which LLVM's runtime refers to and leaves to whoever links.
__asm__(
    ".globl __cpp_exception\n"
    ".tagtype __cpp_exception i32\n"
    "__cpp_exception:\n");
