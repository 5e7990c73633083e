def matmul_of_scaled_bytes(args, lo, hi):
    x = float32_buffer(args, 0)
    w = int8_buffer(args, 1)
    scale = float32_buffer(args, 2)
    out = float32_buffer(args, 3)
    m = args[4]
    n = args[5]
    p = args[6]
    scaled_panels = float32_buffer(args, 7)
    phase = args[8]
    block = float32_buffer(args, 9)
    scaled_part = float32_buffer(args, 10)
    scaled_part_1 = float32_buffer(args, 11)
    if phase == 0:
        for group_index in range(lo, hi):
            row = group_index * 192
            for evaluated_steps in range((n + 15) // 16):
                row_1 = row + evaluated_steps * p * 16
                for evaluated_outer_loop in range(min(n - 16 * evaluated_steps, 16)):
                    row_2 = evaluated_outer_loop * 192
                    row_3 = row_1 + evaluated_outer_loop * p
                    for evaluated_inner_loop in range(min(p - 192 * group_index, 192)):
                        scaled_part[row_2 + evaluated_inner_loop] = float32(w[row_3 + evaluated_inner_loop]) * scale[row + evaluated_inner_loop]
                fill_float32(p, n, scaled_part, 0, 192, 1, row, min(p - 192 * group_index, 192), evaluated_steps * 16, min(n - 16 * evaluated_steps, 16), scaled_panels, 0)
    elif phase == 1:
        for item_index in range(lo // max((p + 95) // 96, 1), (hi - 1) // max((p + 95) // 96, 1) + 1):
            row_4 = 192 * item_index * p + 96 * max(lo - item_index * max((p + 95) // 96, 1), 0)
            row_5 = item_index * n * 192
            row_6 = max(lo - item_index * max((p + 95) // 96, 1), 0) * 96
            if m == 1:
                for i_1 in range(min(m - 192 * item_index, 192)):
                    row_7 = row_4 + i_1 * p
                    row_8 = row_5 + i_1 * n
                    for j_1_init in range(min(96 * hi - 96 * item_index * max((p + 95) // 96, 1), p) - 96 * max(lo - item_index * max((p + 95) // 96, 1), 0)):
                        out[row_7 + j_1_init] = float32(0.0)
                    for k in range(n // 4):
                        row_9 = row_8 + k * 4
                        row_10 = row_6 + k * p * 4
                        for j_1 in range(min(96 * hi - 96 * item_index * max((p + 95) // 96, 1), p) - 96 * max(lo - item_index * max((p + 95) // 96, 1), 0)):
                            out[row_7 + j_1] = fast_add(fast_add(fast_add(fast_add(out[row_7 + j_1], fast_multiply(x[row_9], float32(w[row_10 + j_1]) * scale[row_6 + j_1])), fast_multiply(x[row_9 + 1], float32(w[row_10 + j_1 + p]) * scale[row_6 + j_1])), fast_multiply(x[row_9 + 2], float32(w[row_10 + j_1 + 2 * p]) * scale[row_6 + j_1])), fast_multiply(x[row_9 + 3], float32(w[row_10 + j_1 + 3 * p]) * scale[row_6 + j_1]))
                    for k_rest in range(n // 4 * 4, n):
                        row_11 = row_8 + k_rest
                        row_12 = row_6 + k_rest * p
                        for j_1_rest in range(min(96 * hi - 96 * item_index * max((p + 95) // 96, 1), p) - 96 * max(lo - item_index * max((p + 95) // 96, 1), 0)):
                            out[row_7 + j_1_rest] = fast_add(out[row_7 + j_1_rest], fast_multiply(x[row_11], float32(w[row_12 + j_1_rest]) * scale[row_6 + j_1_rest]))
            else:
                if 0 < min(m // 9, 1) * min((m * n * p) // 32769, 1) * min(p // 2, 1):
                    contract_packed_float32(min(m - 192 * item_index, 192), p, row_6, min(96 * hi - 96 * item_index * max((p + 95) // 96, 1), p) - 96 * max(lo - item_index * max((p + 95) // 96, 1), 0), n, n, x, row_5, n, 1, out, row_4, p, scaled_panels, 0, block, 0)
                else:
                    for evaluated_steps in range(max((n + 15) // 16, 1)):
                        row_13 = row_6 + evaluated_steps * p * 16
                        for evaluated_columns in range((288 * max(lo - item_index * max((p + 95) // 96, 1), 0) + min(96 * hi - 96 * item_index * max((p + 95) // 96, 1), p) + 383) // 384 - max(lo - item_index * max((p + 95) // 96, 1), 0)):
                            row_14 = row_13 + evaluated_columns * 384
                            row_15 = row_6 + evaluated_columns * 384
                            for evaluated_outer_loop in range(min(n - 16 * evaluated_steps, 16)):
                                row_16 = evaluated_outer_loop * 384
                                row_17 = row_14 + evaluated_outer_loop * p
                                for evaluated_inner_loop in range(min(min(96 * hi - 96 * item_index * max((p + 95) // 96, 1), p) - 384 * evaluated_columns - 96 * max(lo - item_index * max((p + 95) // 96, 1), 0), 384)):
                                    scaled_part_1[row_16 + evaluated_inner_loop] = float32(w[row_17 + evaluated_inner_loop]) * scale[row_15 + evaluated_inner_loop]
                            accumulate_float32(min(m - 192 * item_index, 192), min(min(96 * hi - 96 * item_index * max((p + 95) // 96, 1), p) - 384 * evaluated_columns - 96 * max(lo - item_index * max((p + 95) // 96, 1), 0), 384), min(n - 16 * evaluated_steps, 16), 1 - min(evaluated_steps * 16, 1), x, row_5 + evaluated_steps * 16, n, 1, scaled_part_1, 0, 384, 1, out, row_4 + evaluated_columns * 384, p)
