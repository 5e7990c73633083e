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
    scaled_part_panels = float32_buffer(args, 12)
    if phase == 0:
        for group_index in range(lo, hi):
            row = group_index * 192
            for scaled_before_steps in range((n + 15) // 16):
                row_1 = row + p * scaled_before_steps * 16
                for scaled_before_outer_loop in range(min(n - 16 * scaled_before_steps, 16)):
                    row_2 = scaled_before_outer_loop * 192
                    row_3 = row_1 + p * scaled_before_outer_loop
                    for scaled_before_inner_loop in range(min(p - 192 * group_index, 192)):
                        scaled_part[row_2 + scaled_before_inner_loop] = float32(w[row_3 + scaled_before_inner_loop]) * scale[row + scaled_before_inner_loop]
                fill_float32(p, n, scaled_part, 0, 192, 1, row, min(p - 192 * group_index, 192), scaled_before_steps * 16, min(n - 16 * scaled_before_steps, 16), scaled_panels, 0)
    elif phase == 1:
        for item_index in range(lo // max((p + 47) // 48, 1), (hi - 1) // max((p + 47) // 48, 1) + 1):
            row_4 = 192 * item_index * p + 48 * max(lo - item_index * max((p + 47) // 48, 1), 0)
            row_5 = item_index * n * 192
            row_6 = max(lo - item_index * max((p + 47) // 48, 1), 0) * 48
            for piece_width in range(min(48 * hi - 48 * item_index * max((p + 47) // 48, 1), p) - 48 * max(lo - item_index * max((p + 47) // 48, 1), 0), min(2 * min(48 * hi - 48 * item_index * max((p + 47) // 48, 1), p) - 96 * max(lo - item_index * max((p + 47) // 48, 1), 0), min(48 * hi - 48 * item_index * max((p + 47) // 48, 1), p) - 48 * max(lo - item_index * max((p + 47) // 48, 1), 0) + 1)):
                if m <= 4:
                    for i_1 in range(min(m - 192 * item_index, 192)):
                        row_7 = row_4 + i_1 * p
                        row_8 = row_5 + i_1 * n
                        for j_1_init in range(piece_width):
                            out[row_7 + j_1_init] = float32(0.0)
                        for k in range(n // 4):
                            row_9 = row_8 + k * 4
                            row_10 = row_6 + k * p * 4
                            for j_1 in range(piece_width):
                                out[row_7 + j_1] = multiply_add(x[row_9 + 3], float32(w[row_10 + j_1 + 3 * p]) * scale[row_6 + j_1], multiply_add(x[row_9 + 2], float32(w[row_10 + j_1 + 2 * p]) * scale[row_6 + j_1], multiply_add(x[row_9 + 1], float32(w[row_10 + j_1 + p]) * scale[row_6 + j_1], multiply_add(x[row_9], float32(w[row_10 + j_1]) * scale[row_6 + j_1], out[row_7 + j_1]))))
                        for k_rest in range(n // 4 * 4, n):
                            row_11 = row_8 + k_rest
                            row_12 = row_6 + k_rest * p
                            for j_1_rest in range(piece_width):
                                out[row_7 + j_1_rest] = multiply_add(x[row_11], float32(w[row_12 + j_1_rest]) * scale[row_6 + j_1_rest], out[row_7 + j_1_rest])
                elif 0 < min(m // 193, 1):
                    contract_packed_float32(min(m - 192 * item_index, 192), p, row_6, piece_width, n, n, 1, x, row_5, n, 1, out, row_4, p, scaled_panels, 0, block, 0)
                else:
                    for scaled_now_group in range((piece_width + 191) // 192):
                        row_13 = row_6 + scaled_now_group * 192
                        for scaled_now_depth in range(max((n + 511) // 512, 1)):
                            row_14 = row_13 + p * scaled_now_depth * 512
                            for scaled_now_steps in range((min(n - 512 * scaled_now_depth, 512) + 15) // 16):
                                row_15 = row_14 + p * scaled_now_steps * 16
                                for scaled_now_outer_loop in range(min(min(n - 512 * scaled_now_depth, 512) - 16 * scaled_now_steps, 16)):
                                    row_16 = scaled_now_outer_loop * 192
                                    row_17 = row_15 + p * scaled_now_outer_loop
                                    for scaled_now_inner_loop in range(min(piece_width - 192 * scaled_now_group, 192)):
                                        scaled_part_1[row_16 + scaled_now_inner_loop] = float32(w[row_17 + scaled_now_inner_loop]) * scale[row_13 + scaled_now_inner_loop]
                                fill_float32(min(piece_width - 192 * scaled_now_group, 192), min(n - 512 * scaled_now_depth, 512), scaled_part_1, 0, 192, 1, 0, min(piece_width - 192 * scaled_now_group, 192), scaled_now_steps * 16, min(min(n - 512 * scaled_now_depth, 512) - 16 * scaled_now_steps, 16), scaled_part_panels, 0)
                            contract_packed_float32(min(m - 192 * item_index, 192), min(piece_width - 192 * scaled_now_group, 192), 0, min(piece_width - 192 * scaled_now_group, 192), min(n - 512 * scaled_now_depth, 512), min(n - 512 * scaled_now_depth, 512), 1 - min(scaled_now_depth * 512, 1), x, row_5 + scaled_now_depth * 512, n, 1, out, row_4 + scaled_now_group * 192, p, scaled_part_panels, 0, block, 0)
