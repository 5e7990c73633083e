def matmul_of_transposed(args, lo, hi):
    x = float32_buffer(args, 0)
    w = float32_buffer(args, 1)
    out = float32_buffer(args, 2)
    m = args[3]
    n = args[4]
    p = args[5]
    panels = float32_buffer(args, 6)
    phase = args[7]
    block = float32_buffer(args, 8)
    if phase == 0:
        pack_float32(m, p, n, w, 0, 1, n, 0, (p + 191) // 192, panels, 0)
    elif phase == 1:
        for block_index in range(lo, hi):
            contract_float32(m, min(m - 96 * block_index, 96), p, 0, p, n, x, block_index * n * 96, n, 1, w, 0, 1, n, out, block_index * p * 96, p, panels, 0, block, 0)
