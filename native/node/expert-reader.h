// Reads experts from a file into memory that the garbage collector does not move, off the JavaScript thread.
#pragma once
#include <node_api.h>

// A function of the addon, by its name in JavaScript.
struct Function {
  const char* name;
  napi_callback function;
};

// allocatePages, openExperts, readExpert, readExpertNow and closeExperts.
extern const Function kExpertFunctions[5];
