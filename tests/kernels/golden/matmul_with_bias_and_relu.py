def matmul_with_bias_and_relu(args, lo, hi):
    x = float32_buffer(args, 0)
    w = float32_buffer(args, 1)
    bias = float32_buffer(args, 2)
    out = float32_buffer(args, 3)
    m = args[4]
    n = args[5]
    p = args[6]
    panels = float32_buffer(args, 7)
    phase = args[8]
    product = float32_buffer(args, 9)
    block = float32_buffer(args, 10)
    if phase == 0:
        pack_float32(m, p, n, w, 0, p, 1, 0, (p + 191) // 192, panels, 0)
    elif phase == 1:
        for block_index in range(lo, hi):
            row = -block_index * p * 96
            contract_float32(m, min(m - 96 * block_index, 96), p, 0, p, n, x, block_index * n * 96, n, 1, w, 0, p, 1, product, 0, p, panels, 0, block, 0)
            for i_1 in range(block_index * 96, min(m, 96 * block_index + 96)):
                row_1 = i_1 * p
                row_2 = row + i_1 * p
                for j_1 in range(p):
                    out[row_1 + j_1] = maximum(product[row_2 + j_1] + bias[j_1], float32(0.0))
