#pragma once

// A worker_thread unloads its addons when it ends; the pool's threads need the code to stay.
void stayLoaded();
