// What a module asks of its host, besides memory.
#pragma once

extern "C" {

// Milliseconds from any start on, never running backwards.
__attribute__((import_module("lowbit"), import_name("now"))) double lowbit_host_now(void);

}  // extern "C"
