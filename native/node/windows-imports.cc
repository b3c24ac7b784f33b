// Node-API on Windows, where a library names the program that its functions are in. Node.js is node.exe, but Electron,
// Bun, Deno and a renamed node.exe are not: the functions are looked up in the program that runs, whatever its name.
//
// A call of a function that is imported goes through the pointer __imp_FUNCTION, which an import library would define.
// Here they are, filled in when the addon is loaded. The list has what the addon calls: of another one the linker says
// that __imp_... is undefined.
#if defined(_WIN32)
#include <windows.h>

#define LOWBIT_NODE_API(IMPORT)            \
  IMPORT(napi_adjust_external_memory)      \
  IMPORT(napi_call_function)               \
  IMPORT(napi_close_handle_scope)          \
  IMPORT(napi_create_array)                \
  IMPORT(napi_create_array_with_length)    \
  IMPORT(napi_create_arraybuffer)          \
  IMPORT(napi_create_async_work)           \
  IMPORT(napi_create_double)               \
  IMPORT(napi_create_error)                \
  IMPORT(napi_create_external)             \
  IMPORT(napi_create_external_arraybuffer) \
  IMPORT(napi_create_function)             \
  IMPORT(napi_create_int32)                \
  IMPORT(napi_create_promise)              \
  IMPORT(napi_create_reference)            \
  IMPORT(napi_create_string_utf8)          \
  IMPORT(napi_delete_async_work)           \
  IMPORT(napi_delete_reference)            \
  IMPORT(napi_get_array_length)            \
  IMPORT(napi_get_boolean)                 \
  IMPORT(napi_get_cb_info)                 \
  IMPORT(napi_get_element)                 \
  IMPORT(napi_get_typedarray_info)         \
  IMPORT(napi_get_undefined)               \
  IMPORT(napi_get_value_bool)              \
  IMPORT(napi_get_value_double)            \
  IMPORT(napi_get_value_external)          \
  IMPORT(napi_get_value_int32)             \
  IMPORT(napi_get_value_string_utf8)       \
  IMPORT(napi_is_exception_pending)        \
  IMPORT(napi_open_handle_scope)           \
  IMPORT(napi_queue_async_work)            \
  IMPORT(napi_reject_deferred)             \
  IMPORT(napi_resolve_deferred)            \
  IMPORT(napi_set_element)                 \
  IMPORT(napi_set_named_property)          \
  IMPORT(napi_throw)                       \
  IMPORT(napi_throw_error)                 \
  IMPORT(napi_typeof)

#define LOWBIT_IMPORT(name) FARPROC __imp_##name;
extern "C" {
LOWBIT_NODE_API(LOWBIT_IMPORT)
}
#undef LOWBIT_IMPORT

namespace {

struct Import {
  const char* name;
  FARPROC* pointer;
};

#define LOWBIT_IMPORT(name) {#name, &__imp_##name},
constexpr Import kImports[] = {LOWBIT_NODE_API(LOWBIT_IMPORT)};
#undef LOWBIT_IMPORT

// The module of the process that has Node-API: the program, or the library of Node.js that one is built on.
HMODULE findHost() {
  constexpr const wchar_t* kNames[] = {nullptr, L"libnode.dll", L"node.dll"};
  for (const wchar_t* name : kNames) {
    HMODULE module = GetModuleHandleW(name);
    if (module && GetProcAddress(module, kImports[0].name)) return module;
  }
  return nullptr;
}

bool lookUp() {
  HMODULE host = findHost();
  if (!host) return false;
  for (const Import& import : kImports) {
    *import.pointer = GetProcAddress(host, import.name);
    if (!*import.pointer) return false;
  }
  return true;
}

}  // namespace

// False: the library cannot be loaded.
extern "C" BOOL WINAPI DllMain(HINSTANCE, DWORD reason, LPVOID) { return reason != DLL_PROCESS_ATTACH || lookUp(); }
#endif
