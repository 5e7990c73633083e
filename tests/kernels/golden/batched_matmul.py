def batched_matmul(args, lo, hi):
    a = float32_buffer(args, 0)
    b = float32_buffer(args, 1)
    out = float32_buffer(args, 2)
    p = args[3]
    m = args[4]
    n = args[5]
    for s in range(lo, hi):
        row = m * s * 3
        row_1 = m * n * s
        row_2 = n * s * 3
        for i in range(m):
            row_3 = row + i * 3
            row_4 = row_1 + i * n
            for j_init in range(3):
                out[row_3 + j_init] = float32(0.0)
            for k in range(n // 4):
                row_5 = row_4 + k * 4
                row_6 = row_2 + k * 12
                for j in range(3):
                    out[row_3 + j] = fast_add(fast_add(fast_add(fast_add(out[row_3 + j], fast_multiply(a[row_5], b[row_6 + j])), fast_multiply(a[row_5 + 1], b[row_6 + j + 3])), fast_multiply(a[row_5 + 2], b[row_6 + j + 6])), fast_multiply(a[row_5 + 3], b[row_6 + j + 9]))
            for k_rest in range(n // 4 * 4, n):
                row_7 = row_4 + k_rest
                row_8 = row_2 + k_rest * 3
                for j_rest in range(3):
                    out[row_3 + j_rest] = fast_add(out[row_3 + j_rest], fast_multiply(a[row_7], b[row_8 + j_rest]))
