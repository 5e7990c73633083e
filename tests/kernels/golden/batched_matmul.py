def batched_matmul(args, lo, hi):
    a = float32_buffer(args, 0)
    b = float32_buffer(args, 1)
    out = float32_buffer(args, 2)
    p = args[3]
    m = args[4]
    n = args[5]
    panels = float32_buffer(args, 6)
    block = float32_buffer(args, 7)
    for batch_index in range(lo, hi):
        pack_float32(m, 3, n, b, batch_index * n * 3, 3, 1, 0, 1, panels, 0)
        for block_index in range((m + 95) // 96):
            contract_float32(m, min(m - 96 * block_index, 96), 3, 0, 3, n, a, batch_index * m * n + 96 * block_index * n, n, 1, b, batch_index * n * 3, 3, 1, out, 3 * batch_index * m + 288 * block_index, 3, panels, 0, block, 0)
