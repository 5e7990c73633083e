def matmul_of_transposed(args, lo, hi):
    x = float32_buffer(args, 0)
    w = float32_buffer(args, 1)
    out = float32_buffer(args, 2)
    m = args[3]
    n = args[4]
    p = args[5]
    w_panels = float32_buffer(args, 6)
    phase = args[7]
    block = float32_buffer(args, 8)
    if phase == 0:
        for group_index in range(lo, hi):
            pack_float32(m, p, n, w, 0, 1, n, group_index, 1, w_panels, 0)
    elif phase == 1:
        for item_index in range(lo // max((p + 47) // 48, 1), (hi - 1) // max((p + 47) // 48, 1) + 1):
            contract_float32(m, min(m - 192 * item_index, 192), p, max(lo - item_index * max((p + 47) // 48, 1), 0) * 48, min(48 * hi - 48 * item_index * max((p + 47) // 48, 1), p) - 48 * max(lo - item_index * max((p + 47) // 48, 1), 0), n, n, x, item_index * n * 192, n, 1, w, 0, 1, n, out, 192 * item_index * p + 48 * max(lo - item_index * max((p + 47) // 48, 1), 0), p, w_panels, 0, block, 0)
