// Memory that is not initialised: for what comes and goes, and for weights.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#if defined(__unix__) || defined(__APPLE__)
#define WAVCODES_HAS_MMAP
#include <sys/mman.h>
#endif

namespace wavcodes {

// It starts on a cache line.
template <class T>
class Buffer {
   public:
    Buffer() = default;
    explicit Buffer(size_t n) : size_(n), data_(take(n)) {}
    T* data() const { return data_.get(); }
    size_t size() const { return size_; }
    // At least n values; the contents are not kept. It grows by more than is asked for, so that it soon stops growing.
    T* room(size_t n) {
        if (n > size_) *this = Buffer(2 * n);
        return data();
    }

    struct Free {
        void operator()(T* p) const { ::operator delete(p, std::align_val_t(64)); }
    };
    static std::unique_ptr<T, Free> take(size_t n) {
        return std::unique_ptr<T, Free>(static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(64))));
    }

   private:
    size_t size_ = 0;
    std::unique_ptr<T, Free> data_;
};
using Floats = Buffer<float>;

// Memory that stays as long as a codec: whole pages, large ones where the system has them, which it gets back at once
// when they are freed, whatever else stands in the heap.
template <class T>
class Pages {
   public:
    Pages() = default;
    explicit Pages(size_t n) : size_(n), data_(take(n)) {}
    T* data() const { return data_.get(); }
    size_t size() const { return size_; }

   private:
#ifdef WAVCODES_HAS_MMAP
    struct Free {
        size_t bytes = 0;
        void operator()(T* p) const { munmap(p, bytes); }
    };
    static std::unique_ptr<T, Free> take(size_t n) {
        const size_t bytes = std::max<size_t>(1, n * sizeof(T));
        void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
        madvise(p, bytes, MADV_HUGEPAGE);
#endif
        return {static_cast<T*>(p), Free{bytes}};
    }
    size_t size_ = 0;
    std::unique_ptr<T, Free> data_;
#else
    static std::unique_ptr<T, typename Buffer<T>::Free> take(size_t n) { return Buffer<T>::take(n); }
    size_t size_ = 0;
    std::unique_ptr<T, typename Buffer<T>::Free> data_;
#endif
};

}  // namespace wavcodes
