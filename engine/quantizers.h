// Residual vector quantizers: latent rows to codes and back.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "matrix.h"

namespace wavcodes {

// One codebook: how it is searched, and what each of its entries adds. The latter is computed when it is needed: a table
// of it would take as much memory as all else in some codecs.
struct Book {
    int stride;                      // rows per code: the mean of that many rows is searched
    std::unique_ptr<Matrix> in;      // to the space of the search; null: the rows themselves are searched
    std::unique_ptr<Matrix> scores;  // the greatest score wins, the lowest index among equals
    std::unique_ptr<Matrix> out;     // from `entries` to what they add; null: the columns of `scores` are added
    Pages<float> entries;            // [size][width of the search]
};

// Books that describe what the ones before have left over of the latent, or of a projection of it.
struct Group {
    int dim;
    std::unique_ptr<Matrix> in, out;  // null: the latent itself
    std::vector<Book> books;
};

// The groups describe the same latent; what they make of it is added.
class Quantizer {
   public:
    Quantizer(const Kernels& kernels, int dim, int size) : kernels_(kernels), dim_(dim), size_(size) {}
    Quantizer(const Quantizer&) = delete;

    // The books that follow form a new group, in a projection: in_weight (width, dim), out_weight (dim, width). Without
    // it there is one group, of the latent itself.
    void add_group(int width, const float* in_weight, const float* out_weight);
    // Adds a book that takes the nearest entry. codebook (size, dim of the group)
    void add_euclidean(const float* codebook);
    // Adds a book that takes the entry of the smallest angle in a projection.
    // in_weight (width, dim), in_bias (width), out_weight (dim, width), out_bias (dim), codebook (size, width)
    void add_cosine(int stride, int width, const float* in_weight, const float* in_bias, const float* out_weight,
                    const float* out_bias, const float* codebook);

    int dim() const { return dim_; }
    // dim of the group that the next book belongs to
    int group_dim() const { return groups_.empty() ? dim_ : groups_.back().dim; }
    int size() const { return size_; }
    int num_codebooks() const;
    // Rows of the shortest stretch in which the first books all have whole codes.
    int cycle(int num_codebooks) const;
    // Codes that the first books have for `rows` rows.
    size_t num_codes(size_t rows, int num_codebooks) const;
    // latent (rows, dim) to codes, all of book 0, then all of book 1 and so on; rows: a multiple of the cycle
    void encode(const float* latent, size_t rows, int num_codebooks, int32_t* codes, int threads) const;
    // codes, as encode gives them, to latent (rows, dim)
    void decode(const int32_t* codes, size_t rows, int num_codebooks, float* latent, int threads) const;

   private:
    Group& group();
    template <class Visit>
    void each_book(int num_codebooks, Visit visit) const;
    // Shares out `rows` rows over threads, in blocks of whole cycles: calls run(first row, rows).
    template <class Run>
    void each_block(size_t rows, int num_codebooks, int threads, Run run) const;
    // What the entries of `count` codes add, [count][dim of the group].
    const float* entries(const Group& group, const Book& book, const int32_t* codes, size_t count) const;
    void encode_block(const float* latent, size_t first, int rows, size_t all_rows, int num_codebooks,
                      int32_t* codes) const;
    void decode_block(const int32_t* codes, size_t first, int rows, size_t all_rows, int num_codebooks,
                      float* latent) const;

    const Kernels& kernels_;
    const int dim_, size_;
    std::vector<Group> groups_;
};

}  // namespace wavcodes
