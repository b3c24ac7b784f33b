// Reads experts from a file into memory that the garbage collector does not move, off the JavaScript thread.
#pragma once
#include <node_api.h>

// allocatePages, openExperts, readExpert, readExpertNow and closeExperts, added to the addon's exports.
napi_status addExpertReader(napi_env env, napi_value exports);
