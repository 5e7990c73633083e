def matmul_with_bias_and_relu(args, lo, hi):
    x = float32_buffer(args, 0)
    w = float32_buffer(args, 1)
    bias = float32_buffer(args, 2)
    out = float32_buffer(args, 3)
    m = args[4]
    n = args[5]
    p = args[6]
    w_panels = float32_buffer(args, 7)
    phase = args[8]
    block = float32_buffer(args, 9)
    if phase == 0:
        for group_index in range(lo, hi):
            pack_float32(m, p, n, w, 0, p, 1, group_index, 1, w_panels, 0)
    elif phase == 1:
        for item_index in range(lo // max((p + 47) // 48, 1), (hi - 1) // max((p + 47) // 48, 1) + 1):
            row = 192 * item_index * p + 48 * max(lo - item_index * max((p + 47) // 48, 1), 0)
            row_1 = max(lo - item_index * max((p + 47) // 48, 1), 0) * 48
            contract_float32(m, min(m - 192 * item_index, 192), p, row_1, min(48 * hi - 48 * item_index * max((p + 47) // 48, 1), p) - 48 * max(lo - item_index * max((p + 47) // 48, 1), 0), n, n, x, item_index * n * 192, n, 1, w, 0, p, 1, out, row, p, w_panels, 0, block, 0)
            for i_1 in range(min(m - 192 * item_index, 192)):
                row_2 = row + i_1 * p
                for j_1 in range(min(48 * hi - 48 * item_index * max((p + 47) // 48, 1), p) - 48 * max(lo - item_index * max((p + 47) // 48, 1), 0)):
                    out[row_2 + j_1] = maximum(out[row_2 + j_1] + bias[row_1 + j_1], float32(0.0))
