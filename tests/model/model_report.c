/* What came of it. */
#include <math.h>
#include <stdio.h>

#include "tests/model/model.h"

double model_latency_ms(const struct model_result *result, double share) {
    double all = 0, seen = 0;
    for (uint32_t i = 0; i < MODEL_BUCKETS; i++) all += result->latency[i];
    for (uint32_t i = 0; i < MODEL_BUCKETS; i++) {
        seen += result->latency[i];
        if (seen > 0 && seen >= share * all) return 0.01 * pow(1.01, i + 0.5);
    }
    return 0;
}

static double per(double what, double of) {
    return of > 0 ? what / of : 0;
}

void model_json_print(const struct model_setup *setup, const struct model_result *r) {
    double cpu = r->cpu_us[0] + r->cpu_us[1] + r->client_us, clusters = setup->side;
    printf("{\"side\": %u, \"users\": %u, \"value_bytes\": %u, \"policy\": \"%s\", \"shared\": %s, \"cores\": %g, \"seed\": %llu", setup->side,
           setup->users, setup->value_bytes, setup->every_pair ? "paper" : "ours", setup->shared ? "true" : "false", setup->cores,
           (unsigned long long)setup->seed);
    printf(", \"routing\": \"%s\", \"any_share\": %g", setup->spread ? "spread" : "group", setup->any_share);
    printf(", \"clients\": %u, \"lazy_ops\": %u, \"lazy_ms\": %g, \"aggregate_ms\": %g, \"late\": %s", setup->clients, setup->lazy_ops,
           setup->lazy_ms, setup->aggregate_ms, setup->late ? "true" : "false");
    printf(", \"seconds\": %.6g, \"ran_out\": %s, \"ops_per_second\": %.6g, \"ops_per_second_per_side\": %.6g", r->seconds,
           r->ran_out ? "true" : "false", per(r->ops, r->seconds), per(r->ops, r->seconds * clusters));
    printf(", \"p50_ms\": %.5g, \"p99_ms\": %.5g, \"mean_ms\": %.5g", model_latency_ms(r, 0.5), model_latency_ms(r, 0.99),
           per(r->latency_sum_ms, r->ops));
    printf(", \"cpu_us_per_op\": %.6g, \"coordinator_us_per_op\": %.6g, \"shard_us_per_op\": %.6g, \"client_us_per_op\": %.6g", per(cpu, r->ops),
           per(r->cpu_us[0], r->ops), per(r->cpu_us[1], r->ops), per(r->client_us, r->ops));
    printf(", \"decision_us_per_op\": %.6g, \"slice_us_per_op\": %.6g, \"op_us_per_op\": %.6g, \"pair_us_per_op\": %.6g",
           per(r->by_decision_us, r->ops), per(r->by_slice_us, r->ops), per(r->by_op_us, r->ops), per(r->by_pair_us, r->ops));
    printf(", \"bytes_per_op\": %.6g, \"decisions_per_second\": %.6g, \"coordinator_decisions_per_cluster\": %.6g, "
           "\"shard_decisions_per_cluster\": %.6g",
           per(r->bytes, r->ops), per(r->decisions[0] + r->decisions[1], r->seconds), per(r->decisions[0], r->seconds * clusters),
           per(r->decisions[1], r->seconds * clusters));
    printf(", \"coordinator_empty_share\": %.4g, \"shard_empty_share\": %.4g", per(r->empty[0], r->decisions[0]), per(r->empty[1], r->decisions[1]));
    printf(", \"slices_per_second\": %.6g, \"ops_per_slice\": %.6g, \"ops_per_part\": %.6g, \"alone_per_second\": %.6g",
           per(r->slices[0] + r->slices[1], r->seconds), per(2 * r->ops, r->slices[0] + r->slices[1]), per(r->ops, r->parts),
           per(r->alone, r->seconds));
    printf(", \"batches_per_second\": %.6g, \"newest_per_second\": %.6g, \"subscribes_per_second\": %.6g}\n", per(r->batches, r->seconds),
           per(r->newest, r->seconds), per(r->subscribes, r->seconds));
}
