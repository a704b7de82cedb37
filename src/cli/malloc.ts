/**
 * How the C library holds memory, as mallopt(3) has it in the environment; the image sets the same.
 *
 * - glibc gives each of Node's threads a part of the heap of its own, and gives none of them back: 20 MiB.
 * - What is given back lies between what stays. Chunks from 32 KiB on, buffers of sockets and of the compiler, are
 *   therefore pages of their own, which go back one by one: 6 MiB, and no time that could be measured. Left alone, glibc
 *   moves both thresholds up with the first large chunk that is freed.
 */
export const malloc = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: "32768",
  MALLOC_TRIM_THRESHOLD_: "131072",
};
