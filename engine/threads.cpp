#include "threads.h"

#include <system_error>
#include <thread>

#ifndef _WIN32
#include <pthread.h>
#endif

namespace wavcodes {

void Crew::share(int count, int threads, Task task, void* data) {
    if (count <= 0) return;
    Job job{count, task, data, std::min(count, threads) - 1};
    std::unique_lock<std::mutex> lock(mutex_);
    jobs_.push_back(&job);
    call(job.places);
    for (int i = 0; i < job.places; i++) changed_.notify_one();
    take_part(job, lock);
    ended_.wait(lock, [&] { return job.ended == count; });
    if (job.failure) std::rethrow_exception(job.failure);
}

bool Crew::help(std::unique_lock<std::mutex>& lock) {
    const auto job = std::find_if(jobs_.rbegin(), jobs_.rend(), [](const Job* each) { return each->places > 0; });
    if (job == jobs_.rend()) return false;
    (*job)->places--;
    take_part(**job, lock);
    return true;
}

void Crew::take_part(Job& job, std::unique_lock<std::mutex>& lock) {
    while (job.begun < job.count) {
        const int i = job.begun++;
        if (job.begun == job.count) std::erase(jobs_, &job);
        std::exception_ptr failure;
        lock.unlock();
        try {
            job.task(job.data, i);
        } catch (...) {  // no memory; who split it up gets it
            failure = std::current_exception();
        }
        lock.lock();
        if (failure) job.failure = failure;
        if (++job.ended == job.count) ended_.notify_all();
    }
}

namespace {

class Pool final : public Crew {
    void call(int helpers) override {
        try {
            while (int(workers_.size()) < std::min(helpers, most_)) workers_.emplace_back([this] { wait(); });
        } catch (const std::system_error&) {
            // The system gives no more now; those there are do the work.
        }
    }
    void wait() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;)
            if (!help(lock)) changed_.wait(lock);
    }

    std::vector<std::thread> workers_;
    // More threads than cores would only take turns.
    const int most_ = std::max(1, int(std::thread::hardware_concurrency()) - 1);
};

// Never destroyed: its threads sleep until the process ends. A forked child starts with a pool of its own, for the
// threads of its parent do not exist there.
Pool* pool = nullptr;

Pool& the_pool() {
    static std::once_flag once;
    std::call_once(once, [] {
        pool = new Pool;
#ifndef _WIN32
        pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
#endif
    });
    return *pool;
}

}  // namespace

thread_local Crew* crew = nullptr;

Crew& the_crew() { return crew ? *crew : the_pool(); }

}  // namespace wavcodes
