def matmul_with_bias_and_relu(args, lo, hi):
    x = float32_buffer(args, 0)
    w = float32_buffer(args, 1)
    bias = float32_buffer(args, 2)
    out = float32_buffer(args, 3)
    m = args[4]
    n = args[5]
    p = args[6]
    product = float32_buffer(args, 7)
    for i in range(lo, hi):
        row = i * n
        row_1 = i * p
        for j_init in range(p):
            product[j_init] = float32(0.0)
        for k in range(n // 4):
            row_2 = row + k * 4
            row_3 = k * p * 4
            for j in range(p):
                product[j] = fast_add(fast_add(fast_add(fast_add(product[j], fast_multiply(x[row_2], w[row_3 + j])), fast_multiply(x[row_2 + 1], w[row_3 + j + p])), fast_multiply(x[row_2 + 2], w[row_3 + j + 2 * p])), fast_multiply(x[row_2 + 3], w[row_3 + j + 3 * p]))
        for k_rest in range(n // 4 * 4, n):
            row_4 = row + k_rest
            row_5 = k_rest * p
            for j_rest in range(p):
                product[j_rest] = fast_add(product[j_rest], fast_multiply(x[row_4], w[row_5 + j_rest]))
        for j_1 in range(p):
            out[row_1 + j_1] = maximum(product[j_1] + bias[j_1], float32(0.0))
