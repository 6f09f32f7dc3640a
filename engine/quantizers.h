// Residual vector quantizers: latent rows to codes and back.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "matrix.h"

namespace wavcodes {

// One codebook: how it is searched, and what each of its entries adds to the latent.
struct Book {
    std::unique_ptr<Matrix> projection;  // latent to the search space; null: the latent itself is searched
    std::unique_ptr<Matrix> scores;      // the greatest score wins, the lowest index among equals
    Floats entries;                      // [size][dim]
};

class Quantizer {
   public:
    Quantizer(const Kernels& kernels, int dim, int size) : kernels_(kernels), dim_(dim), size_(size) {}
    Quantizer(const Quantizer&) = delete;

    // Adds a book that takes the nearest entry. codebook (size, dim)
    void add_euclidean(const float* codebook);
    // Adds a book that takes the entry of the smallest angle in a projection.
    // in_weight (width, dim), in_bias (width), out_weight (dim, width), out_bias (dim), codebook (size, width)
    void add_cosine(int width, const float* in_weight, const float* in_bias, const float* out_weight,
                    const float* out_bias, const float* codebook);

    int dim() const { return dim_; }
    int size() const { return size_; }
    int num_codebooks() const { return int(books_.size()); }
    // latent (rows, dim) to codes (rows, num_codebooks)
    void encode(const float* latent, size_t rows, int num_codebooks, int32_t* codes, int threads) const;
    // codes (rows, num_codebooks) to latent (rows, dim)
    void decode(const int32_t* codes, size_t rows, int num_codebooks, float* latent) const;

   private:
    void encode_block(const float* latent, int rows, int num_codebooks, int32_t* codes) const;

    const Kernels& kernels_;
    const int dim_, size_;
    std::vector<Book> books_;
};

}  // namespace wavcodes
