// The decoder's operations on a GPU, compiled when a model is loaded, for its shapes:
//   HEAD   elements of a head, padded to a multiple of 32
//
// A row of a result depends on its own inputs alone, and on no count of rows: every sum has one order. So a matrix
// is cut into the same eight ranges of columns whatever kernel multiplies by it, and keys into the same slices of 64
// positions whoever looks at them. Sums are float32; what tensor cores multiply is bfloat16.

typedef unsigned short bf16;
typedef unsigned int u32;
typedef unsigned long long u64;

// ---- what the machine offers

#define INFINITE __uint_as_float(0x7f800000u)

#ifndef EMULATED

// Two numbers, rounded to the nearest bfloat16; the first in the low half.
__device__ __forceinline__ u32 pack(float first, float second) {
  u32 both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
  return both;
}

// d += a b of 16 x 16 and 16 x 8 elements. With j = lane % 4 and g = lane / 4, a lane holds of `a` rows g and g + 8,
// columns 2j, 2j + 1, 2j + 8, 2j + 9; of `b` these rows of column g; of `d` rows g, g + 8 and columns 2j, 2j + 1.
__device__ __forceinline__ void multiply(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// What is read once leaves the first cache to what is read often.
__device__ __forceinline__ uint4 read_once(const uint4* from) {
  uint4 it;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(it.x), "=r"(it.y), "=r"(it.z), "=r"(it.w)
               : "l"(from));
  return it;
}

// Sixteen bytes to shared memory in the background; zeros where they are not there.
__device__ __forceinline__ void fetch(void* to, const void* from, bool there) {
  u32 address = (u32)__cvta_generic_to_shared(to);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(there ? 16 : 0)
               : "memory");
}

__device__ __forceinline__ void fetched_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until all but the latest `LEFT` groups are there.
template <int LEFT>
__device__ __forceinline__ void await_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

__device__ __forceinline__ float exponential(float x) { return __expf(x); }

#endif

__device__ __forceinline__ bf16 narrow(float it) { return (bf16)pack(it, 0.0f); }

__device__ __forceinline__ float widen(bf16 it) { return __uint_as_float((u32)it << 16); }

__device__ __forceinline__ float warp_sum(float it) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) it += __shfl_xor_sync(0xffffffffu, it, apart);
  return it;
}

// Over a block of 256 threads; `shared` has 8 elements.
__device__ __forceinline__ float block_sum(float it, float* shared) {
  it = warp_sum(it);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = it;
  __syncthreads();
  float sum = 0.0f;
#pragma unroll
  for (int warp = 0; warp < 8; warp++) sum += shared[warp];
  return sum;
}

// ---- matrices
//
// Weights lie in tiles of 16 rows by 32 columns, 1 KiB each, tiles of one row of tiles side by side. Within a tile,
// first rows 0 to 7, then rows 8 to 15; lane `l` of a warp reads row `l / 4`, columns `8 (l % 4)` to `+ 7`, 16 bytes.
// Tensor cores are given the first four of these columns as 2j, 2j + 1, 2j + 8, 2j + 9 of one product, the others as
// those of the next; activations, read alike, are permuted alike.

struct Product {
  const uint4* weights;
  const float* bias;     // of each row, or null
  const bf16* input;     // [tokens, 32 chunks]
  float* output;         // [tokens, rows]
  const u32* chosen;     // the row of the input of each token; null for the token's own
  const u32* count;      // how many tokens there are, where only the GPU knows; else null
  u32 tokens;
  u32 rows;
  u32 chunks;            // of 32 columns
};

// Ranges of columns, summed by themselves and then in order.
#define RANGES 8

__device__ __forceinline__ u32 range_size(u32 chunks) { return (chunks + RANGES - 1) / RANGES; }

__device__ __forceinline__ void multiply_chunk(float (&sum)[4], uint4 low, uint4 high, uint4 x) {
  multiply(sum, low.x, high.x, low.y, high.y, x.x, x.y);
  multiply(sum, low.z, high.z, low.w, high.w, x.z, x.w);
}

// Few tokens: each weight is read once, straight into registers; each warp of a block has a range of columns.
template <int TILES, int GROUPS, int AHEAD>
__device__ __forceinline__ void multiply_few(const Product& it) {
  __shared__ float sums[RANGES][GROUPS * 8][TILES * 16 + 1];
  const u32 tokens = it.count ? *it.count : it.tokens;
  if (tokens == 0) return;
  const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const u32 tiles = (it.rows + 15) / 16;
  const u32 first = blockIdx.x * TILES;
  const u32 begin = min(warp * range_size(it.chunks), it.chunks);
  const u32 end = min(begin + range_size(it.chunks), it.chunks);

  const uint4* weights[TILES];
#pragma unroll
  for (int t = 0; t < TILES; t++)
    weights[t] = it.weights + (u64)min(first + t, tiles - 1) * it.chunks * 64 + lane;
  const uint4* inputs[GROUPS];
#pragma unroll
  for (int g = 0; g < GROUPS; g++) {
    const u32 token = g * 8 + lane / 4;
    const u32 row = token < tokens ? (it.chosen ? it.chosen[token] : token) : 0;
    inputs[g] = (const uint4*)(it.input + (u64)row * it.chunks * 32) + lane % 4;
  }

  // What is beyond the end is read from elsewhere and multiplied by zeros; the tokens that there are not are read from
  // the first and given to nobody: loads that wait for no condition are all on their way at once. They are for the
  // round that comes next: the compiler would put off loads for its own round until they are needed.
  uint4 low[AHEAD][TILES], high[AHEAD][TILES], x[AHEAD][GROUPS];
  auto load = [&](u32 chunk) {
#pragma unroll
    for (int a = 0; a < AHEAD; a++) {
      const u32 from = min(chunk + a, end - 1);
#pragma unroll
      for (int t = 0; t < TILES; t++) {
        low[a][t] = read_once(weights[t] + (u64)from * 64);
        high[a][t] = read_once(weights[t] + (u64)from * 64 + 32);
      }
#pragma unroll
      for (int g = 0; g < GROUPS; g++) x[a][g] = __ldg(inputs[g] + from * 4);
    }
  };
  float sum[TILES][GROUPS][4] = {};
  if (begin < end) load(begin);
  for (u32 chunk = begin; chunk < end; chunk += AHEAD) {
    uint4 low_now[AHEAD][TILES], high_now[AHEAD][TILES], x_now[AHEAD][GROUPS];
#pragma unroll
    for (int a = 0; a < AHEAD; a++) {
#pragma unroll
      for (int t = 0; t < TILES; t++) low_now[a][t] = low[a][t], high_now[a][t] = high[a][t];
      const u32 mask = chunk + a < end ? 0xffffffffu : 0;
#pragma unroll
      for (int g = 0; g < GROUPS; g++) {
        const uint4 y = x[a][g];
        x_now[a][g] = make_uint4(y.x & mask, y.y & mask, y.z & mask, y.w & mask);
      }
    }
    load(chunk + AHEAD);
#pragma unroll
    for (int a = 0; a < AHEAD; a++)
#pragma unroll
      for (int t = 0; t < TILES; t++)
#pragma unroll
        for (int g = 0; g < GROUPS; g++) multiply_chunk(sum[t][g], low_now[a][t], high_now[a][t], x_now[a][g]);
  }

#pragma unroll
  for (int t = 0; t < TILES; t++)
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
#pragma unroll
      for (int i = 0; i < 4; i++)
        sums[warp][g * 8 + lane % 4 * 2 + i % 2][t * 16 + lane / 4 + i / 2 * 8] = sum[t][g][i];
  __syncthreads();
  for (u32 index = threadIdx.x; index < GROUPS * 8 * TILES * 16; index += blockDim.x) {
    const u32 token = index / (TILES * 16), row = first * 16 + index % (TILES * 16);
    if (token >= tokens || row >= it.rows) continue;
    float total = 0.0f;
#pragma unroll
    for (int range = 0; range < RANGES; range++) total = __fadd_rn(total, sums[range][token][index % (TILES * 16)]);
    it.output[(u64)token * it.rows + row] = it.bias ? __fadd_rn(total, it.bias[row]) : total;
  }
}

extern "C" __global__ void __launch_bounds__(256) multiply_8(const Product it) { multiply_few<1, 1, 4>(it); }
extern "C" __global__ void __launch_bounds__(256) multiply_16(const Product it) { multiply_few<1, 2, 4>(it); }
extern "C" __global__ void __launch_bounds__(256, 2) multiply_32(const Product it) { multiply_few<2, 4, 2>(it); }
extern "C" __global__ void __launch_bounds__(256) multiply_64(const Product it) { multiply_few<1, 8, 2>(it); }

// Many tokens: a block has 128 rows by 64 tokens, each warp 32 by 32 of them, and all columns.
#define STAGES 4

extern "C" __global__ void __launch_bounds__(256) multiply_many(const Product it) {
  __shared__ uint4 weights[STAGES][8][64];
  __shared__ uint4 inputs[STAGES][64][4];
  const u32 tokens = it.count ? *it.count : it.tokens;
  const u32 first_token = blockIdx.x * 64, first_tile = blockIdx.y * 8;
  if (first_token >= tokens) return;
  const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const u32 tiles = (it.rows + 15) / 16;
  const u32 range = range_size(it.chunks);

  // What this thread brings: two pieces of weights, one of activations.
  const u32 tile = threadIdx.x / 64, piece = threadIdx.x % 64;
  const bool has_tile[2] = {first_tile + tile < tiles, first_tile + tile + 4 < tiles};
  const uint4* from_weights[2];
#pragma unroll
  for (int i = 0; i < 2; i++)
    from_weights[i] = it.weights + (u64)(has_tile[i] ? first_tile + tile + 4 * i : 0) * it.chunks * 64 + piece;
  const u32 token = threadIdx.x / 4;
  const bool has_token = first_token + token < tokens;
  const u32 row = has_token ? (it.chosen ? it.chosen[first_token + token] : first_token + token) : 0;
  const uint4* from_input = (const uint4*)(it.input + (u64)row * it.chunks * 32) + threadIdx.x % 4;

  auto bring = [&](u32 chunk) {
    const u32 stage = chunk % STAGES;
#pragma unroll
    for (int i = 0; i < 2; i++)
      fetch(&weights[stage][tile + 4 * i][piece], from_weights[i] + (u64)chunk * 64, has_tile[i]);
    fetch(&inputs[stage][token][threadIdx.x % 4], from_input + chunk * 4, has_token);
  };
  for (u32 chunk = 0; chunk < STAGES - 1; chunk++) {
    if (chunk < it.chunks) bring(chunk);
    fetched_group();
  }

  const u32 my_tile = warp / 2 * 2, my_group = warp % 2 * 4;
  float sum[2][4][4] = {}, total[2][4][4] = {};
  for (u32 chunk = 0; chunk < it.chunks; chunk++) {
    await_groups<STAGES - 2>();
    __syncthreads();
    if (chunk + STAGES - 1 < it.chunks) bring(chunk + STAGES - 1);
    fetched_group();
    const u32 stage = chunk % STAGES;
    uint4 x[4];
#pragma unroll
    for (int g = 0; g < 4; g++) x[g] = inputs[stage][(my_group + g) * 8 + lane / 4][lane % 4];
#pragma unroll
    for (int t = 0; t < 2; t++) {
      const uint4 low = weights[stage][my_tile + t][lane], high = weights[stage][my_tile + t][32 + lane];
#pragma unroll
      for (int g = 0; g < 4; g++) multiply_chunk(sum[t][g], low, high, x[g]);
    }
    if ((chunk + 1) % range == 0 || chunk + 1 == it.chunks) {
#pragma unroll
      for (int t = 0; t < 2; t++)
#pragma unroll
        for (int g = 0; g < 4; g++)
#pragma unroll
          for (int i = 0; i < 4; i++) {
            total[t][g][i] = __fadd_rn(total[t][g][i], sum[t][g][i]);
            sum[t][g][i] = 0.0f;
          }
    }
  }

#pragma unroll
  for (int t = 0; t < 2; t++)
#pragma unroll
    for (int g = 0; g < 4; g++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const u32 token = first_token + (my_group + g) * 8 + lane % 4 * 2 + i % 2;
        const u32 row = (first_tile + my_tile + t) * 16 + lane / 4 + i / 2 * 8;
        if (token < tokens && row < it.rows)
          it.output[(u64)token * it.rows + row] =
              it.bias ? __fadd_rn(total[t][g][i], it.bias[row]) : total[t][g][i];
      }
}

// ---- rows of states

// Where element (row, column) of a matrix in tiles lies.
__device__ __forceinline__ u64 tiled(u32 row, u32 column, u32 chunks) {
  const u32 lane = row % 8 * 4 + column % 32 / 8;
  return ((u64)(row / 16) * chunks + column / 32) * 512 + row % 16 / 8 * 256 + lane * 8 + column % 8;
}

struct Embed {
  const bf16* embedding;   // in tiles
  const bf16* positions;   // in tiles, or null
  const u32* tokens;
  const u32* places;       // the position of each token
  float* output;           // [tokens, hidden]
  u32 hidden;
  u32 chunks;
  float scale;
};

extern "C" __global__ void __launch_bounds__(256) embed(const Embed it) {
  const u32 token = it.tokens[blockIdx.x], place = it.places[blockIdx.x];
  for (u32 column = threadIdx.x; column < it.hidden; column += blockDim.x) {
    float x = __fmul_rn(widen(it.embedding[tiled(token, column, it.chunks)]), it.scale);
    if (it.positions) x = __fadd_rn(x, widen(it.positions[tiled(place, column, it.chunks)]));
    it.output[(u64)blockIdx.x * it.hidden + column] = x;
  }
}

struct Normalize {
  const float* input;    // [rows, size]
  float* wide;           // [rows, size], or null
  bf16* narrow;          // [rows, stride], or null; zeros beyond the size
  const float* weight;
  const float* bias;     // or null
  u32 size;
  u32 stride;
  u32 centred;           // whether the mean is taken off
  float epsilon;
};

extern "C" __global__ void __launch_bounds__(256) normalize(const Normalize it) {
  __shared__ float shared[8];
  const float* row = it.input + (u64)blockIdx.x * it.size;
  float mean = 0.0f;
  if (it.centred) {
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < it.size; i += 256) sum += row[i];
    mean = block_sum(sum, shared) / it.size;
  }
  float squares = 0.0f;
  for (u32 i = threadIdx.x; i < it.size; i += 256) squares += (row[i] - mean) * (row[i] - mean);
  const float scale = 1.0f / sqrtf(block_sum(squares, shared) / it.size + it.epsilon);
  const u32 last = it.narrow ? it.stride : it.size;
  for (u32 i = threadIdx.x; i < last; i += 256) {
    float y = 0.0f;
    if (i < it.size) {
      y = (row[i] - mean) * scale * it.weight[i];
      if (it.bias) y += it.bias[i];
    }
    if (it.narrow) it.narrow[(u64)blockIdx.x * it.stride + i] = narrow(y);
    else it.wide[(u64)blockIdx.x * it.size + i] = y;
  }
}

struct Narrow {
  const float* input;   // [rows, size]
  bf16* output;         // [rows, stride]
  u32 size;
  u32 stride;
};

extern "C" __global__ void __launch_bounds__(256) narrow_rows(const Narrow it) {
  const u32 i = blockIdx.y * 256 + threadIdx.x;
  if (i >= it.stride) return;
  it.output[(u64)blockIdx.x * it.stride + i] = i < it.size ? narrow(it.input[(u64)blockIdx.x * it.size + i]) : 0;
}

struct Add {
  const float* a;
  const float* b;
  float* output;
  u64 count;
};

extern "C" __global__ void __launch_bounds__(256) add(const Add it) {
  const u64 i = (u64)blockIdx.x * 256 + threadIdx.x;
  if (i < it.count) it.output[i] = it.a[i] + it.b[i];
}

#define SILU 0
#define GELU 1
#define GELU_TANH 2
#define RELU 3

struct Activate {
  const float* input;   // [rows, 2 size], the gate first, where gated; else [rows, size]
  bf16* output;         // [rows, stride]; zeros beyond the size
  const u32* count;     // how many rows there are, where only the GPU knows; else null
  u32 size;
  u32 stride;
  u32 gated;
  u32 activation;
};

__device__ __forceinline__ float activated(u32 activation, float x) {
  switch (activation) {
    case SILU: return x / (1.0f + exponential(-x));
    case GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    // x / 2 (1 + tanh(u / 2)) = x / (1 + exp(-u)), u = 2 sqrt(2 / pi) (x + 0.044715 x^3)
    case GELU_TANH: return x / (1.0f + exponential(-1.5957691f * x * (1.0f + 0.044715f * x * x)));
    default: return fmaxf(x, 0.0f);
  }
}

extern "C" __global__ void __launch_bounds__(256) activate(const Activate it) {
  if (it.count && blockIdx.x >= *it.count) return;
  const u32 i = blockIdx.y * 256 + threadIdx.x;
  if (i >= it.stride) return;
  float y = 0.0f;
  if (i < it.size) {
    const float* row = it.input + (u64)blockIdx.x * it.size * (it.gated ? 2 : 1);
    y = activated(it.activation, row[i]);
    if (it.gated) y *= row[it.size + i];
  }
  it.output[(u64)blockIdx.x * it.stride + i] = narrow(y);
}

struct Choose {
  const float* input;    // [tokens, size]
  const u32* chosen;
  float* output;         // [chosen, size]
  u32 size;
};

extern "C" __global__ void __launch_bounds__(256) choose(const Choose it) {
  for (u32 i = threadIdx.x; i < it.size; i += 256)
    it.output[(u64)blockIdx.x * it.size + i] = it.input[(u64)it.chosen[blockIdx.x] * it.size + i];
}

struct Finish {
  float* logits;
  u64 count;
  float scale;
  float cap;   // 0 for none
};

extern "C" __global__ void __launch_bounds__(256) finish(const Finish it) {
  const u64 i = (u64)blockIdx.x * 256 + threadIdx.x;
  if (i >= it.count) return;
  float y = it.logits[i] * it.scale;
  if (it.cap != 0.0f) y = it.cap * tanhf(y / it.cap);
  it.logits[i] = y;
}

struct Likeliest {
  const float* logits;   // [rows, size]
  u32* tokens;           // the first of the largest of each row; the highest number where one is not finite
  u32 size;
};

extern "C" __global__ void __launch_bounds__(1024) likeliest(const Likeliest it) {
  __shared__ float values[32];
  __shared__ u32 tokens[32];
  const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const float* row = it.logits + (u64)blockIdx.x * it.size;
  // What is not finite wins: it is larger than any, and keeps the highest number as its token.
  const u32 none = 0xffffffffu;
  float best = -INFINITE;
  u32 token = none;
  auto take = [&](float value, u32 other) {
    if (value > best || (value == best && best != INFINITE && other < token)) best = value, token = other;
  };
  for (u32 i = threadIdx.x; i < it.size; i += 1024) {
    const float value = row[i];
    const bool finite = fabsf(value) < INFINITE;
    take(finite ? value : INFINITE, finite ? i : none);
  }
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) {
    const float value = __shfl_xor_sync(0xffffffffu, best, apart);
    const u32 other = __shfl_xor_sync(0xffffffffu, token, apart);
    take(value, other);
  }
  if (lane == 0) values[warp] = best, tokens[warp] = token;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (u32 i = 1; i < 32; i++) take(values[i], tokens[i]);
  it.tokens[blockIdx.x] = token;
}

// ---- mixtures of experts

struct Route {
  const float* logits;   // [tokens, experts]
  u32* counts;           // [experts], zeros before
  u32* chosen;           // [experts, tokens]: the tokens of each expert, in any order
  float* shares;         // [experts, tokens]: how much what it gives them counts
  u32 tokens;
  u32 experts;
  u32 used;
};

// Each token goes to the experts with its largest logits, the first of equal ones, by the softmax over these.
extern "C" __global__ void __launch_bounds__(256) route(const Route it) {
  const u32 token = blockIdx.x * 256 + threadIdx.x;
  if (token >= it.tokens) return;
  const float* logits = it.logits + (u64)token * it.experts;
  // An expert comes before another by its logit, then by its number.
  float total = 0.0f, most = 0.0f;
  for (int pass = 0; pass < 2; pass++) {
    float last = 0.0f;
    u32 last_expert = 0;
    for (u32 rank = 0; rank < it.used; rank++) {
      u32 best = it.experts;
      for (u32 expert = 0; expert < it.experts; expert++) {
        const float logit = logits[expert];
        const bool comes_later = rank == 0 || logit < last || (logit == last && expert > last_expert);
        if (comes_later && (best == it.experts || logit > logits[best])) best = expert;
      }
      // Where logits are no numbers, there may be none.
      if (best == it.experts) break;
      last = logits[best];
      last_expert = best;
      if (rank == 0) most = last;
      const float weight = exponential(last - most);
      if (pass == 0) {
        total += weight;
      } else {
        const u32 slot = atomicAdd(it.counts + best, 1);
        it.chosen[(u64)best * it.tokens + slot] = token;
        it.shares[(u64)best * it.tokens + slot] = weight / total;
      }
    }
  }
}

struct Mix {
  const float* given;    // [slots, size]
  const u32* count;      // slots that are filled
  const u32* chosen;     // the token of each slot
  const float* shares;
  float* mixed;          // [tokens, size]
  u32 size;
};

extern "C" __global__ void __launch_bounds__(256) mix(const Mix it) {
  if (blockIdx.x >= *it.count) return;
  const u32 token = it.chosen[blockIdx.x];
  const float share = it.shares[blockIdx.x];
  for (u32 i = threadIdx.x; i < it.size; i += 256) {
    float* sum = it.mixed + (u64)token * it.size + i;
    *sum = __fmaf_rn(share, it.given[(u64)blockIdx.x * it.size + i], *sum);
  }
}

// ---- how fast memory is

struct Scan {
  const uint4* memory;
  u32* output;
  u64 count;
};

// Reads everything once; what it writes keeps the reads from being left out.
extern "C" __global__ void __launch_bounds__(512) scan(const Scan it) {
  const u64 step = (u64)gridDim.x * blockDim.x;
  u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  u32 all = 0;
  for (; i + 3 * step < it.count; i += 4 * step) {
    const uint4 a = read_once(it.memory + i), b = read_once(it.memory + i + step);
    const uint4 c = read_once(it.memory + i + 2 * step), d = read_once(it.memory + i + 3 * step);
    all ^= a.x ^ a.y ^ a.z ^ a.w ^ b.x ^ b.y ^ b.z ^ b.w ^ c.x ^ c.y ^ c.z ^ c.w ^ d.x ^ d.y ^ d.z ^ d.w;
  }
  for (; i < it.count; i += step) {
    const uint4 a = read_once(it.memory + i);
    all ^= a.x ^ a.y ^ a.z ^ a.w;
  }
  if (all == 0x9e3779b9u) it.output[0] = all;
}

// ---- attention
//
// A block of the cache holds 16 positions of one head of keys and values: keys [16, HEAD]; values by element and
// then by position, [HEAD, 16]. Elements beyond the head are zeros.

struct Turn {
  const u32* places;
  const double* frequencies;
  float2* turns;            // cosine and sine, [tokens, pairs]
  u32 pairs;
  double scale;
};

extern "C" __global__ void __launch_bounds__(128) turn(const Turn it) {
  for (u32 pair = threadIdx.x; pair < it.pairs; pair += 128) {
    double sine, cosine;
    sincos((double)it.places[blockIdx.x] * it.frequencies[pair], &sine, &cosine);
    it.turns[(u64)blockIdx.x * it.pairs + pair] = make_float2((float)(cosine * it.scale), (float)(sine * it.scale));
  }
}

struct HeadNorm {
  const float* weight;   // or null
  const float* bias;     // or null
  u32 stride;            // from a head's weights to the next one's; 0 where they are the same
  u32 centred;
  float epsilon;
  u32 unused;
};

struct Prepare {
  const float* qkv;       // [tokens, heads + 2 kv_heads, head_size]
  bf16* queries;          // [tokens, heads, HEAD]
  bf16* keys;             // [blocks, kv_heads, 16, HEAD]
  bf16* values;           // [blocks, kv_heads, HEAD, 16]
  const u32* slots;       // 16 * block + place within it, of each token
  const float2* turns;    // or null
  HeadNorm query_norm;
  HeadNorm key_norm;
  u32 tokens;
  u32 heads;
  u32 kv_heads;
  u32 head_size;
  u32 pairs;
  float scale;            // of queries
  float clip;             // infinite where nothing is cut
  u32 unused;
};

// A warp for each head of a token.
extern "C" __global__ void __launch_bounds__(128) prepare(const Prepare it) {
  __shared__ float shared[4][HEAD];
  const u32 lane = threadIdx.x % 32;
  const u32 all = it.heads + 2 * it.kv_heads;
  const u32 index = blockIdx.x * 4 + threadIdx.x / 32;
  const bool there = index < it.tokens * all;
  const u32 token = there ? index / all : 0, head = there ? index % all : 0;
  float* row = shared[threadIdx.x / 32];
  const bool is_query = head < it.heads, is_value = head >= it.heads + it.kv_heads;
  for (u32 i = lane; i < HEAD; i += 32) {
    float x = i < it.head_size ? it.qkv[((u64)token * all + head) * it.head_size + i] : 0.0f;
    // Not by minimum and maximum, which would turn what is no number into one.
    x = x > it.clip ? it.clip : x < -it.clip ? -it.clip : x;
    row[i] = x;
  }
  __syncwarp();
  const HeadNorm norm = is_query ? it.query_norm : it.key_norm;
  if (!is_value && norm.weight) {
    const u32 at = (is_query ? head : head - it.heads) * norm.stride;
    float mean = 0.0f;
    if (norm.centred) {
      for (u32 i = lane; i < it.head_size; i += 32) mean += row[i];
      mean = warp_sum(mean) / it.head_size;
    }
    float squares = 0.0f;
    for (u32 i = lane; i < it.head_size; i += 32) squares += (row[i] - mean) * (row[i] - mean);
    const float scale = 1.0f / sqrtf(warp_sum(squares) / it.head_size + norm.epsilon);
    for (u32 i = lane; i < it.head_size; i += 32) {
      float y = (row[i] - mean) * scale * norm.weight[at + i];
      row[i] = norm.bias ? y + norm.bias[at + i] : y;
    }
    __syncwarp();
  }
  if (!is_value && it.turns) {
    for (u32 pair = lane; pair < it.pairs; pair += 32) {
      const float2 turn = it.turns[(u64)token * it.pairs + pair];
      const float a = row[pair], b = row[pair + it.pairs];
      row[pair] = a * turn.x - b * turn.y;
      row[pair + it.pairs] = a * turn.y + b * turn.x;
    }
    __syncwarp();
  }
  if (!there) return;
  const u32 slot = it.slots[token], block = slot / 16, within = slot % 16;
  for (u32 i = lane; i < HEAD; i += 32) {
    if (is_query) {
      it.queries[((u64)token * it.heads + head) * HEAD + i] = narrow(row[i] * it.scale);
    } else if (!is_value) {
      it.keys[(((u64)block * it.kv_heads + head - it.heads) * 16 + within) * HEAD + i] = narrow(row[i]);
    } else {
      const u64 from = ((u64)block * it.kv_heads + head - it.heads - it.kv_heads) * 16 * HEAD;
      it.values[from + i * 16 + within] = narrow(row[i]);
    }
  }
}

// What some keys and values give to a query: the largest score, the sum of exponentials over it, and the values
// weighted by these.
struct Share {
  float most;
  float sum;
};

// Takes a later share in; gives what both were multiplied by. One formula, whoever calls it.
__device__ __forceinline__ float2 join(Share& all, Share next) {
  const float most = fmaxf(all.most, next.most);
  if (most == -INFINITE) return make_float2(1.0f, 0.0f);
  const float2 by = make_float2(exponential(all.most - most), exponential(next.most - most));
  all.sum = __fmaf_rn(all.sum, by.x, __fmul_rn(next.sum, by.y));
  all.most = most;
  return by;
}

__device__ __forceinline__ float joined(float all, float next, float2 by) {
  return __fmaf_rn(all, by.x, __fmul_rn(next, by.y));
}

// Positions of a warp's slice, and of the segment of four warps.
#define SLICE 64
#define SEGMENT 256

struct Attend {
  const bf16* queries;    // [tokens, heads, HEAD]
  const bf16* keys;
  const bf16* values;
  bf16* output;           // [tokens, stride]
  float* parts;           // [tokens, heads, segments, HEAD + 2], where segments are looked at side by side
  const uint4* tiles;     // first token of a run of one sequence, first row, rows of the run, its table of blocks
  const u32* tables;
  const u32* places;
  const float* slopes;    // ALiBi's, of each head, or null
  u32 heads;
  u32 kv_heads;
  u32 head_size;
  u32 stride;
  u32 window;             // positions that are seen, the token's own included
  u32 segments;           // 0 where one block looks at all of them
  float cap;              // of scores; 0 for none
  float rounded;          // scores gain this times slope and key position, rounded; 0 where they lose with distance
};

// The queries of a run are its tokens' heads that share keys, token by token: sixteen of these rows are a tile.
extern "C" __global__ void __launch_bounds__(128) attend(const Attend it) {
  __shared__ float sums[16][HEAD + 4];
  __shared__ Share shares[16];
  const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const u32 g = lane / 4, j = lane % 4;
  const u32 kv_head = blockIdx.y, group = it.heads / it.kv_heads;
  const uint4 tile = it.tiles[blockIdx.x];
  const u32 first = tile.x, row_0 = tile.y, rows = min(tile.z - tile.y, 16u);
  const u32* table = it.tables + tile.w;
  // The rows are in the order of their positions.
  const u32 newest = it.places[first + (row_0 + rows - 1) / group];
  const u32 oldest = it.places[first + row_0 / group] + 1 > it.window
                         ? it.places[first + row_0 / group] + 1 - it.window
                         : 0;
  u32 segment = it.segments ? blockIdx.z : oldest / SEGMENT;
  const u32 last_segment = it.segments ? blockIdx.z : newest / SEGMENT;
  if (segment > newest / SEGMENT || segment < oldest / SEGMENT) return;

  // Of the two rows that this lane has in products.
  u32 place[2], seen[2];
  float slope[2];
  uint4 query[2][HEAD / 32];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const bool there = g + 8 * i < rows;
    const u32 row = row_0 + (there ? g + 8 * i : 0);
    const u32 token = first + row / group, head = kv_head * group + row % group;
    place[i] = it.places[token];
    seen[i] = place[i] + 1 > it.window ? place[i] + 1 - it.window : 0;
    slope[i] = it.slopes ? it.slopes[head] : 0.0f;
    const uint4* from = (const uint4*)(it.queries + ((u64)token * it.heads + head) * HEAD) + j;
#pragma unroll
    for (int c = 0; c < HEAD / 32; c++) query[i][c] = there ? from[c * 4] : make_uint4(0, 0, 0, 0);
  }

  // Of a row's eighth of elements that this thread joins.
  const u32 my_row = threadIdx.x / 8, my_column = threadIdx.x % 8;
  Share all = {-INFINITE, 0.0f};
  float sum[HEAD / 8] = {};
  for (; segment <= last_segment; segment++) {
    Share share[2] = {{-INFINITE, 0.0f}, {-INFINITE, 0.0f}};
    float value[HEAD / 8][4] = {};
    const u32 begin = segment * SEGMENT + warp * SLICE;
    for (u32 at = begin; at < begin + SLICE && at <= newest; at += 16) {
      if (at + 15 < oldest) continue;
      const u64 block = ((u64)table[at / 16] * it.kv_heads + kv_head) * 16 * HEAD;
      // A product's columns are keys 4 (c / 2) + c % 2, then the two that follow each pair: so a lane has the
      // weights of keys 4j to 4j + 3.
      float score[2][4] = {};
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const uint4* key = (const uint4*)(it.keys + block + (g / 2 * 4 + g % 2 + 2 * half) * HEAD) + j;
#pragma unroll
        for (int c = 0; c < HEAD / 32; c++) multiply_chunk(score[half], query[0][c], query[1][c], key[c * 4]);
      }
      float by[2];
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float most = -INFINITE;
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
          for (int k = 0; k < 2; k++) {
            float& s = score[half][2 * i + k];
            const u32 key = at + 4 * j + 2 * half + k;
            if (it.cap != 0.0f) s = it.cap * tanhf(s / it.cap);
            if (it.rounded != 0.0f) s += widen(narrow(slope[i] * widen(narrow((float)key)))) * it.rounded;
            else s -= slope[i] * (float)(int)(place[i] - key);
            if (key < seen[i] || key > place[i]) s = -INFINITE;
            most = fmaxf(most, s);
          }
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        most = fmaxf(most, share[i].most);
        // Where nothing was seen yet, there is nothing to scale.
        const float base = most == -INFINITE ? 0.0f : most;
        by[i] = exponential(share[i].most - base);
        share[i].most = most;
        float weights = 0.0f;
#pragma unroll
        for (int half = 0; half < 2; half++)
#pragma unroll
          for (int k = 0; k < 2; k++) {
            float& s = score[half][2 * i + k];
            s = exponential(s - base);
            weights += s;
          }
        share[i].sum = __fmaf_rn(share[i].sum, by[i], weights);
      }
      const u32 a0 = pack(score[0][0], score[0][1]), a1 = pack(score[0][2], score[0][3]);
      const u32 a2 = pack(score[1][0], score[1][1]), a3 = pack(score[1][2], score[1][3]);
      // What an earlier owner of the block left behind must not count, even if it is no number.
      const u32 key = at + 4 * j;
      const u32 mask_x = key + 1 <= newest ? 0xffffffffu : key <= newest ? 0xffffu : 0;
      const u32 mask_y = key + 3 <= newest ? 0xffffffffu : key + 2 <= newest ? 0xffffu : 0;
#pragma unroll
      for (int n = 0; n < HEAD / 8; n++) {
        value[n][0] *= by[0];
        value[n][1] *= by[0];
        value[n][2] *= by[1];
        value[n][3] *= by[1];
        const uint2 v = *(const uint2*)(it.values + block + (n * 8 + g) * 16 + 4 * j);
        multiply(value[n], a0, a1, a2, a3, v.x & mask_x, v.y & mask_y);
      }
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
      share[i].sum += __shfl_xor_sync(0xffffffffu, share[i].sum, 1);
      share[i].sum += __shfl_xor_sync(0xffffffffu, share[i].sum, 2);
    }
    // The four slices in order, then this segment to those before it.
    Share mine = {-INFINITE, 0.0f};
    float slices[HEAD / 8] = {};
    for (u32 slice = 0; slice < 4; slice++) {
      __syncthreads();
      if (warp == slice) {
        if (j == 0) {
          shares[g] = share[0];
          shares[g + 8] = share[1];
        }
#pragma unroll
        for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
          for (int i = 0; i < 4; i++) sums[g + i / 2 * 8][n * 8 + 2 * j + i % 2] = value[n][i];
      }
      __syncthreads();
      const float2 by = join(mine, shares[my_row]);
#pragma unroll
      for (int n = 0; n < HEAD / 8; n++) slices[n] = joined(slices[n], sums[my_row][n * 8 + my_column], by);
    }
    const float2 by = join(all, mine);
#pragma unroll
    for (int n = 0; n < HEAD / 8; n++) sum[n] = joined(sum[n], slices[n], by);
  }

  if (my_row >= rows) return;
  const u32 row = row_0 + my_row;
  const u32 token = first + row / group, head = kv_head * group + row % group;
  if (it.segments) {
    float* part = it.parts + (((u64)token * it.heads + head) * it.segments + blockIdx.z) * (HEAD + 2);
#pragma unroll
    for (int n = 0; n < HEAD / 8; n++) part[n * 8 + my_column] = sum[n];
    if (my_column == 0) {
      part[HEAD] = all.most;
      part[HEAD + 1] = all.sum;
    }
  } else {
#pragma unroll
    for (int n = 0; n < HEAD / 8; n++)
      if (n * 8 + my_column < it.head_size)
        it.output[(u64)token * it.stride + head * it.head_size + n * 8 + my_column] = narrow(sum[n] / all.sum);
  }
}

// Joins segments that were looked at side by side, in order. A block for each head of a token.
extern "C" __global__ void __launch_bounds__(HEAD) join_segments(const Attend it) {
  const u32 token = blockIdx.x, head = blockIdx.y, column = threadIdx.x;
  const u32 place = it.places[token];
  const u32 seen = place + 1 > it.window ? place + 1 - it.window : 0;
  const float* parts = it.parts + ((u64)token * it.heads + head) * it.segments * (HEAD + 2);
  Share all = {-INFINITE, 0.0f};
  float sum = 0.0f;
  for (u32 segment = seen / SEGMENT; segment <= place / SEGMENT; segment++) {
    const float* part = parts + (u64)segment * (HEAD + 2);
    const Share next = {part[HEAD], part[HEAD + 1]};
    const float2 by = join(all, next);
    sum = joined(sum, part[column], by);
  }
  if (column < it.head_size) it.output[(u64)token * it.stride + head * it.head_size + column] = narrow(sum / all.sum);
}
