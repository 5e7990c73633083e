def convolution(args, lo, hi):
    image = float32_buffer(args, 0)
    weight = float32_buffer(args, 1)
    out = float32_buffer(args, 2)
    m = args[3]
    n = args[4]
    for b in range(lo, hi):
        row = b * m * n * 4
        row_1 = 3 * b * m * n + 6 * b * m + 6 * b * n + 12 * b
        for o in range(4):
            row_2 = row + m * n * o
            row_3 = o * 27
            for i in range(m):
                row_4 = row_2 + i * n
                row_5 = row_1 + i * n + 2 * i
                for j_init in range(n):
                    out[row_4 + j_init] = float32(0.0)
                for c in range(3):
                    row_6 = row_5 + c * m * n + 2 * c * m + 2 * c * n + 4 * c
                    row_7 = row_3 + c * 9
                    for u in range(3):
                        row_8 = row_6 + n * u + 2 * u
                        row_9 = row_7 + u * 3
                        for j in range(n):
                            out[row_4 + j] = fast_add(fast_add(fast_add(out[row_4 + j], fast_multiply(image[row_8 + j], weight[row_9])), fast_multiply(image[row_8 + j + 1], weight[row_9 + 1])), fast_multiply(image[row_8 + j + 2], weight[row_9 + 2]))
