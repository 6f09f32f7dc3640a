// Splitting the outputs of one computation over cores.
#pragma once

#include <climits>
#include <type_traits>

namespace wavcodes {

void run_on_pool(int count, int threads, void (*task)(void*, int), void* data);

// Calls task(0) ... task(count - 1), each once, on up to `threads` threads. Tasks must write to separate outputs.
// This thread takes part: it waits only for tasks that others have begun, and so not for a core that is busy with
// something else. If the pool is at work already, the tasks run here one after the other: the results are the same.
template <class Task>
void parallel(int count, Task&& task, int threads = INT_MAX) {
    if (count == 1 || threads == 1) {
        for (int i = 0; i < count; i++) task(i);
        return;
    }
    using Plain = std::remove_reference_t<Task>;
    run_on_pool(
        count, threads, [](void* data, int i) { (*static_cast<Plain*>(data))(i); }, &task);
}

}  // namespace wavcodes
