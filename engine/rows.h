// A queue of rows between two layers: (T, channels), contiguous, appended at the end and dropped at the front.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace wavcodes {

// Memory that starts on a cache line and is not initialised.
template <class T>
class Buffer {
   public:
    Buffer() = default;
    explicit Buffer(size_t n) : size_(n) {
        data_.reset(static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(64))));
    }
    T* data() const { return data_.get(); }
    size_t size() const { return size_; }
    // At least n values; the contents are not kept.
    T* room(size_t n) {
        if (n > size_) *this = Buffer(n);
        return data();
    }

   private:
    struct Free {
        void operator()(T* p) const { ::operator delete(p, std::align_val_t(64)); }
    };
    std::unique_ptr<T, Free> data_;
    size_t size_ = 0;
};
using Floats = Buffer<float>;

class Rows {
   public:
    explicit Rows(int channels) : channels_(channels) {}

    int channels() const { return channels_; }
    size_t size() const { return end_ - begin_; }
    float* row(size_t i) const { return floats_.data() + (begin_ + i) * channels_; }

    // True once the layer that feeds this queue has given its last row.
    bool ended = false;

    // Room for n rows at the end; the caller fills it.
    float* append(size_t n) {
        reserve(n);
        float* p = row(size());
        end_ += n;
        return p;
    }
    void append_zeros(size_t n) {
        float* p = append(n);
        std::fill(p, p + n * channels_, 0.0f);
    }
    // n rows in front of the first one; the caller fills them.
    void prepend(size_t n) {
        append(n);
        std::memmove(row(n), row(0), (size() - n) * channels_ * sizeof(float));
    }
    void drop(size_t n) {
        begin_ += n;
        if (begin_ == end_) begin_ = end_ = 0;
    }
    void drop_last(size_t n) { end_ -= n; }

   private:
    void reserve(size_t n) {
        const size_t capacity = floats_.size() / channels_;
        if (end_ + n <= capacity) return;
        const size_t kept = size();
        if (kept + n <= capacity) {
            std::memmove(floats_.data(), row(0), kept * channels_ * sizeof(float));
        } else {
            Floats larger(std::max(capacity + capacity / 2, kept + n) * channels_);
            if (kept) std::memcpy(larger.data(), row(0), kept * channels_ * sizeof(float));
            floats_ = std::move(larger);
        }
        begin_ = 0;
        end_ = kept;
    }

    int channels_;
    Floats floats_;
    size_t begin_ = 0, end_ = 0;
};

}  // namespace wavcodes
