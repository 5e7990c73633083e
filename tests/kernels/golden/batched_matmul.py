def batched_matmul(args, lo, hi):
    a = float32_buffer(args, 0)
    b = float32_buffer(args, 1)
    out = float32_buffer(args, 2)
    p = args[3]
    m = args[4]
    n = args[5]
    b_panels = float32_buffer(args, 6)
    block = float32_buffer(args, 7)
    for item_index in range(lo, hi):
        pack_float32(m, 3, n, b, n * (item_index // max((m + 767) // 768, 1)) * 3, 3, 1, 0, 1, b_panels, 0)
        for piece_index in range(item_index % max((m + 767) // 768, 1) * 8, min((m + 95) // 96, 8 * (item_index % max((m + 767) // 768, 1)) + 8)):
            contract_float32(m, min(m - 96 * piece_index, 96), 3, 0, 3, n, n, a, m * n * (item_index // max((m + 767) // 768, 1)) + 96 * n * piece_index, n, 1, b, n * (item_index // max((m + 767) // 768, 1)) * 3, 3, 1, out, 3 * m * (item_index // max((m + 767) // 768, 1)) + 288 * piece_index, 3, b_panels, 0, block, 0)
