/* `heracliusd --explain`: what thread_plan.h gives on this machine, why, and the memory budget. */
#include <stdio.h>
#include <stdlib.h>

#include "appliance/node/node.h"
#include "appliance/status/memory.h"

enum { CPU_LIST_BYTES = 400 };

/* "0-3,8": as the kernel writes it, as far as there is room. */
static void cpu_list(const struct thread_machine *machine, char out[CPU_LIST_BYTES]) {
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < machine->cpu_count && used + 16 < CPU_LIST_BYTES;) {
        uint32_t end = i;
        while (end + 1 < machine->cpu_count && machine->cpus[end + 1] == machine->cpus[end] + 1) end++;
        used += (size_t)snprintf(out + used, CPU_LIST_BYTES - used, i == end ? "%s%u" : "%s%u-%u", used > 0 ? "," : "", machine->cpus[i],
                                 machine->cpus[end]);
        i = end + 1;
    }
}

static void machine_print(const struct thread_machine *machine, const struct thread_plan *plan) {
    char list[CPU_LIST_BYTES];
    cpu_list(machine, list);
    printf("machine\n  cpus %u (%s)\n", machine->cpu_count, list);
    if (machine->quota_thousandths > 0)
        printf("  cpu_quota %llu.%03llu\n", (unsigned long long)(machine->quota_thousandths / THREAD_QUOTA_CPU),
               (unsigned long long)(machine->quota_thousandths % THREAD_QUOTA_CPU));
    else
        printf("  cpu_quota none\n");
    printf("  usable_cpus %u\n  memory_bytes %llu\n", plan->usable, (unsigned long long)machine->memory_bytes);
}

static void map_print(const struct thread_plan *plan, const struct thread_machine *machine) {
    printf("map\n  threads %s\n  because ", plan->split ? "split" : "fused");
    switch (plan->reason) {
    case THREAD_BY_CONFIGURATION: printf("node.conf says so\n"); break;
    case THREAD_FEW_CPUS: printf("usable_cpus %u < split_cpus %d\n", plan->usable, THREAD_SPLIT_CPUS); break;
    case THREAD_LITTLE_MEMORY:
        printf("memory_bytes %llu < split_memory_bytes %d\n", (unsigned long long)machine->memory_bytes, THREAD_SPLIT_MEMORY_BYTES);
        break;
    case THREAD_MANY_CPUS:
        printf("usable_cpus %u >= split_cpus %d, memory_bytes %llu >= split_memory_bytes %d\n", plan->usable, THREAD_SPLIT_CPUS,
               (unsigned long long)machine->memory_bytes, THREAD_SPLIT_MEMORY_BYTES);
        break;
    }
    printf("  verifiers %u\n  hashers %u\nthreads\n", plan->verifiers, plan->hashers);
    for (int i = 0; i < NODE_THREADS; i++) {
        enum node_thread thread = (enum node_thread)i;
        if (!thread_plan_has(plan, thread)) continue;
        const char *name = !plan->split && thread == NODE_THREAD_NETWORK ? "node" : node_thread_name(thread);
        if (plan->cpus[i] >= 0) printf("  %s cpu %d\n", name, plan->cpus[i]);
        else printf("  %s any cpu\n", name);
    }
}

static void thresholds_print(const struct node_config *config) {
    printf("thresholds\n  split_cpus %d\n  split_memory_bytes %d\n", THREAD_SPLIT_CPUS, THREAD_SPLIT_MEMORY_BYTES);
    printf("  spare_cpus %d\n  verifiers_max %d\n  hashers_max %d\n", THREAD_SPARE_CPUS, THREAD_VERIFIERS_MAX, THREAD_HASHERS_MAX);
    if (config->send_zc_bytes > 0) printf("  send_zc_bytes %u\n  registered_send_buffers yes\n", config->send_zc_bytes);
    else printf("  send_zc_bytes never\n  registered_send_buffers no, as nothing is sent by SEND_ZC\n");
}

static void budget_print(struct node *node) {
    static struct status_node status; /* larger than a thread's stack should hold */
    uint64_t total = 0;
    node_budget_put(node, &status);
    printf("memory_budget\n");
    for (uint32_t i = 0; i < status.budget_count; i++) {
        printf("  %s %llu\n", status.budget[i].name, (unsigned long long)status.budget[i].value);
        total += status.budget[i].value;
    }
    printf("  all %llu\n", (unsigned long long)total);
}

static enum node_exit node_look(struct node *node, const char *config_path, char text[NODE_TEXT_BYTES]) {
    enum node_exit code = node_files_open(node, config_path, false, text);
    if (code == NODE_EXIT_OK) code = node_executor_open(node, text);
    if (code == NODE_EXIT_OK) executor_genesis(node->executor, node->genesis_root);
    if (code == NODE_EXIT_OK && !node_replica_make(node)) {
        code = NODE_EXIT_CONFIG;
        snprintf(text, NODE_TEXT_BYTES, "not enough memory for the node's tables");
    }
    if (code == NODE_EXIT_OK) code = node_net_open(node, text);
    return code;
}

static void node_forget(struct node *node) {
    net_destroy(node->net);
    replica_destroy(node->replica);
    executor_destroy(node->executor);
    free(node->regions);
    free(node->verdicts);
    free(node->often.keys);
    free(node->client_handles);
    free(node->node_handles);
    if (node->key_open) keyfile_close(&node->key);
    addresses_free(node->addresses);
    system_free(node->system);
    free(node);
}

int node_explain(const char *config_path) {
    static char text[NODE_TEXT_BYTES];
    struct thread_machine machine;
    struct node *node = calloc(1, sizeof *node);
    enum node_exit code = NODE_EXIT_OK;
    if (node == NULL) return NODE_EXIT_STOPPED;
    node->key.lock = -1;
    thread_machine_look("", &machine);
    if (config_path != NULL) {
        code = node_look(node, config_path, text);
    } else {
        node_config_defaults(&node->config);
        thread_plan_make(&machine, true, &node->config.threads, &node->plan);
    }
    if (code == NODE_EXIT_OK) {
        machine_print(&machine, &node->plan);
        const char *kind = config_cluster_is_coordinator(node->cluster) ? "coordinator" : "shard";
        if (config_path != NULL) printf("node\n  name %s\n  kind %s\n", node->name, kind);
        map_print(&node->plan, &machine);
        thresholds_print(&node->config);
        if (config_path != NULL) budget_print(node);
    } else {
        (void)fprintf(stderr, "heracliusd: %s\n", text);
    }
    node_forget(node);
    return (int)code;
}
