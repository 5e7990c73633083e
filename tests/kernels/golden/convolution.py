def convolution(args, lo, hi):
    image = float32_buffer(args, 0)
    weight = float32_buffer(args, 1)
    out = float32_buffer(args, 2)
    m = args[3]
    n = args[4]
    image_columns = int64_buffer(args, 5)
    image_steps = int64_buffer(args, 6)
    phase = args[7]
    image_panels = float32_buffer(args, 8)
    image_strips = int64_buffer(args, 9)
    if phase == 0:
        for image_columns_v_i in range(m):
            row = image_columns_v_i * n
            row_1 = image_columns_v_i * n + 2 * image_columns_v_i
            for image_columns_v_j in range(n):
                image_columns[row + image_columns_v_j] = row_1 + image_columns_v_j
        for image_steps_v_c in range(3):
            row_2 = image_steps_v_c * 9
            row_3 = image_steps_v_c * m * n + 2 * image_steps_v_c * m + 2 * image_steps_v_c * n + 4 * image_steps_v_c
            for image_steps_v_u in range(3):
                row_4 = row_2 + image_steps_v_u * 3
                row_5 = row_3 + image_steps_v_u * n + 2 * image_steps_v_u
                for image_steps_v_v in range(3):
                    image_steps[row_4 + image_steps_v_v] = row_5 + image_steps_v_v
    elif phase == 1:
        for item_index in range(lo // max((m * n + 15) // 16, 1), (hi - 1) // max((m * n + 15) // 16, 1) + 1):
            for group_index in range(max(lo - item_index * max((m * n + 15) // 16, 1), 0) // 12, (min(hi - item_index * max((m * n + 15) // 16, 1), max((m * n + 15) // 16, 1)) + 11) // 12):
                pack_windows_float32(min(16 * hi - 16 * item_index * max((m * n + 15) // 16, 1), m * n, 192 * group_index + 192) - 16 * max(lo - item_index * max((m * n + 15) // 16, 1), group_index * 12), 27, image, 3 * item_index * m * n + 6 * item_index * m + 6 * item_index * n + 12 * item_index, image_steps, 0, image_columns, max(lo - item_index * max((m * n + 15) // 16, 1), group_index * 12) * 16, image_panels, 0, image_strips, 0)
                contract_windows_float32(4, min(16 * hi - 16 * item_index * max((m * n + 15) // 16, 1), m * n, 192 * group_index + 192) - 16 * max(lo - item_index * max((m * n + 15) // 16, 1), group_index * 12), 27, weight, 0, 27, 1, image, 3 * item_index * m * n + 6 * item_index * m + 6 * item_index * n + 12 * item_index, image_steps, 0, image_strips, 0, out, 4 * item_index * m * n + 16 * max(lo - item_index * max((m * n + 15) // 16, 1), group_index * 12), m * n, image_panels, 0)
