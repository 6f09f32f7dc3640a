// Splitting the outputs of one computation over cores.
#pragma once

#include <type_traits>

namespace wavcodes {

void run_on_pool(int count, void (*task)(void*, int), void* data);

// Calls task(0) ... task(count - 1), each once, on up to `count` threads. Tasks must write to separate outputs.
// If the pool is busy with another caller, the tasks run here one after the other: the results are the same.
template <class Task>
void parallel(int count, Task&& task) {
    if (count == 1) return task(0);
    using Plain = std::remove_reference_t<Task>;
    run_on_pool(
        count, [](void* data, int i) { (*static_cast<Plain*>(data))(i); }, &task);
}

}  // namespace wavcodes
