/* The documents of the control socket. */
#include <stdio.h>
#include <string.h>

#include "appliance/status/control.h"

static json_t *hex(const uint8_t *bytes, size_t count) {
    char text[2 * 32 + 1];
    for (size_t i = 0; i < count && i < 32; i++) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return json_string(text);
}

enum { HISTOGRAM_LIMITS = 16 }; /* from 125 us (or 2) on, doubling */

static json_t *number(uint64_t value) {
    return json_integer((json_int_t)(value & INT64_MAX));
}

static json_t *cluster_text(uint32_t cluster) {
    char text[16];
    snprintf(text, sizeof text, "%c%u", cluster >> 16 == 1 ? 'c' : 's', cluster & 0xFFFFu);
    return json_string(text);
}

static uint64_t budget_total(const struct status_node *status) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < status->budget_count; i++) total += status->budget[i].value;
    return total;
}

static void put_threads(json_t *out, const struct status_node *status) {
    json_t *threads = json_array(), *budget = json_object();
    for (uint32_t i = 0; i < status->thread_count; i++) {
        const struct status_thread *thread = &status->threads[i];
        json_array_append_new(threads,
                              json_pack("{s:s,s:i,s:i}", "name", thread->name, "pinned_cpu", thread->pinned, "running_cpu", thread->running));
    }
    for (uint32_t i = 0; i < status->budget_count; i++) json_object_set_new(budget, status->budget[i].name, number(status->budget[i].value));
    json_object_set_new(out, "thread_map", json_string(status->threads_map));
    json_object_set_new(out, "threads", threads);
    json_object_set_new(out, "memory_budget_bytes", budget);
    json_object_set_new(out, "memory_budget_total_bytes", number(budget_total(status)));
    json_t *resident = json_object();
    for (uint32_t i = 0; i < status->resident_count; i++) json_object_set_new(resident, status->resident[i].name, number(status->resident[i].value));
    json_object_set_new(out, "memory_resident_bytes", resident);
    json_object_set_new(out, "resident_bytes", number(status->resident_bytes));
    json_object_set_new(out, "resident_file_bytes", number(status->resident_file_bytes));
    json_object_set_new(out, "heap_bytes", number(status->heap_bytes));
    if (status->memory_limit_bytes > 0) json_object_set_new(out, "memory_limit_bytes", number(status->memory_limit_bytes));
}

static void put_seen(json_t *out, const struct status_replica *replica) {
    json_t *drops = json_object(), *attacks = json_object(), *attackers = json_array();
    for (int i = 0; i < STATUS_DROP_COUNT; i++) {
        if (replica->drops[i] > 0) json_object_set_new(drops, status_drop_name((enum status_drop)i), number(replica->drops[i]));
    }
    for (int i = 0; i < STATUS_ATTACK_COUNT; i++) {
        if (replica->attacks[i] > 0) json_object_set_new(attacks, status_attack_name((enum status_attack)i), number(replica->attacks[i]));
    }
    for (uint32_t i = 0; i < replica->attacker_count; i++) {
        const struct status_attacker *attacker = &replica->attackers[i];
        json_array_append_new(attackers, json_pack("{s:s,s:s,s:o}", "attack", status_attack_name(attacker->attack), "peer", attacker->peer, "count",
                                                   number(attacker->count)));
    }
    json_object_set_new(out, "dropped", drops);
    json_object_set_new(out, "attacks", attacks);
    json_object_set_new(out, "attackers", attackers);
    json_object_set_new(out, "evidence", number(replica->evidence)); /* files kept by this run */
}

static void put_scrub(json_t *out, const struct status_node *status) {
    const struct status_replica *replica = &status->replica;
    json_t *scrub = json_object();
    json_object_set_new(scrub, "memory_records", number(replica->scrub_records));
    json_object_set_new(scrub, "memory_rounds", number(replica->scrub_rounds));
    json_object_set_new(scrub, "wal_records", number(status->scrub_wal_records));
    json_object_set_new(scrub, "wal_rounds", number(status->scrub_wal_rounds));
    json_object_set_new(scrub, "state_records", number(status->scrub_state_records));
    json_object_set_new(scrub, "state_rounds", number(status->scrub_state_rounds));
    json_object_set_new(scrub, "found", number(replica->scrub_found));
    json_object_set_new(scrub, "repaired", number(replica->scrub_repaired));
    json_object_set_new(scrub, "opened_anew", number(status->opened_anew));
    json_object_set_new(out, "scrub", scrub);
}

static void put_peers(json_t *out, const struct status_node *status) {
    const struct status_replica *replica = &status->replica;
    json_t *members = json_array(), *pairs = json_array();
    for (uint32_t i = 0; i < replica->members && i < STATUS_MEMBERS_MAX; i++) {
        const struct status_member *member = &replica->peers[i];
        json_t *votes = member->votes == VOTE_UNKNOWN ? json_null() : json_boolean(member->votes == VOTE_YES);
        json_array_append_new(members, json_pack("{s:i,s:s,s:b,s:o,s:o,s:o,s:o}", "member", (int)i, "name", member->name, "up",
                                                 member->up || i == replica->member, "votes", votes, "height", number(member->final_height), "view",
                                                 number(member->view), "node_id", hex(member->node_id, 32)));
    }
    for (uint32_t i = 0; i < replica->pair_count; i++) {
        const struct status_pair *pair = &replica->pairs[i];
        json_array_append_new(pairs,
                              json_pack("{s:o,s:o,s:o,s:o,s:o,s:i,s:i}", "cluster", cluster_text(pair->cluster), "consumed",
                                        number(pair->consumed_dseq), "sent", number(pair->sent_dseq), "acknowledged", number(pair->acked_dseq),
                                        "hint", number(pair->hint_dseq), "held", (int)pair->held_slices, "source_member", (int)pair->source_member));
    }
    json_object_set_new(out, "members_seen", members);
    json_object_set_new(out, "pairs", pairs);
    json_t *holder = status->prune_holder < replica->members ? json_integer(status->prune_holder) : json_null();
    json_object_set_new(out, "wal", json_pack("{s:o,s:o,s:o,s:o}", "bytes", number(status->wal_bytes), "map_bytes", number(status->wal_map_bytes),
                                              "pruned_height", number(replica->pruned_height), "held_back_by_member", holder));
    json_object_set_new(out, "links_up", json_integer(status->links_up));
    json_object_set_new(out, "links_known", json_integer(status->links_known));
}

json_t *control_status_json(const struct status_node *status) {
    const struct status_replica *replica = &status->replica;
    const struct histogram *commit = &replica->commit_us;
    json_t *out = json_object();
    json_object_set_new(out, "node", json_string(status->name));
    json_object_set_new(out, "system", json_string(status->system_name));
    json_object_set_new(out, "system_id", hex(status->system_id, 16));
    json_object_set_new(out, "cluster", cluster_text(replica->cluster));
    json_object_set_new(out, "member", json_integer(replica->member));
    json_object_set_new(out, "members", json_integer(replica->members));
    json_object_set_new(out, "faults", json_integer(replica->faults));
    json_object_set_new(out, "ready", json_boolean(status->ready));
    json_object_set_new(out, "voted", json_boolean(replica->voted));
    json_object_set_new(out, "phase", json_string(status_phase_name(replica->phase)));
    json_object_set_new(out, "progress", number(status->progress));
    if (replica->retired_by != NULL) json_object_set_new(out, "retired_by", json_string(replica->retired_by));
    json_object_set_new(out, "epoch", number(replica->epoch));
    json_object_set_new(out, "view", number(replica->view));
    json_object_set_new(out, "leader", json_integer(replica->leader));
    json_object_set_new(out, "height", number(replica->final_height));
    json_object_set_new(out, "prepared_height", number(replica->prepared_height));
    json_object_set_new(out, "executed_height", number(replica->executed_height));
    json_object_set_new(out, "checkpoint_height", number(replica->checkpoint_height));
    json_object_set_new(out, "state_root_height", number(replica->state_root_height));
    json_object_set_new(out, "state_root", hex(replica->state_root, 32));
    json_object_set_new(out, "time_ms", number(replica->time_ms));
    json_object_set_new(out, "clock_difference_ms", json_integer((json_int_t)status->clock_difference_ms));
    json_object_set_new(out, "uptime_ms", number(status->now_ms - status->started_ms));
    json_object_set_new(out, "queues",
                        json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "inputs_waiting", number(replica->inputs_waiting), "inputs_held",
                                  number(replica->inputs_held), "input_bytes", number(replica->input_bytes), "blocks_open",
                                  number(replica->blocks_open), "sends_held", number(replica->sends_held), "answers_kept",
                                  number(replica->answers_kept)));
    json_object_set_new(out, "clients_connected", number(replica->clients_connected));
    json_object_set_new(out, "enrolment", number(replica->enrolment));
    json_object_set_new(out, "clients_enrolled", number(replica->clients_enrolled));
    json_object_set_new(out, "decisions", number(replica->decisions));
    json_object_set_new(out, "view_changes", number(replica->view_changes));
    json_object_set_new(out, "strain", number(replica->strain));
    json_object_set_new(out, "commit_us",
                        json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "count", number(commit->count), "sum", number(commit->sum), "p50",
                                  number(histogram_quantile(commit, 500)), "p90", number(histogram_quantile(commit, 900)), "p99",
                                  number(histogram_quantile(commit, 990)), "max", number(commit->max)));
    put_seen(out, replica);
    put_scrub(out, status);
    put_peers(out, status);
    put_threads(out, status);
    return out;
}

/* One metric; `labels` is taken over, may be NULL. */
static void metric_put(json_t *list, const char *name, const char *type, const char *help, json_t *labels, json_t *value) {
    json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:o,s:o}", "name", name, "type", type, "help", help, "labels",
                                          labels != NULL ? labels : json_object(), "value", value));
}

static void metric(json_t *list, const char *name, const char *type, const char *help, json_t *labels, uint64_t value) {
    metric_put(list, name, type, help, labels, number(value));
}

/* Who votes, as far as this node knows. Under the names of system and cluster: what its nodes say is seen beside each other. Of a cluster that
 * is to decide nothing more, and by a node that does not even know it of itself, as long as it opens its data, nothing is said. */
static void put_quorum(json_t *list, const struct status_node *status) {
    const struct status_replica *replica = &status->replica;
    uint64_t votes = 0, unknown = 0;
    for (uint32_t i = 0; i < replica->members && i < STATUS_MEMBERS_MAX; i++) {
        votes += replica->peers[i].votes == VOTE_YES;
        unknown += replica->peers[i].votes == VOTE_UNKNOWN;
    }
    if (unknown == replica->members || replica->phase == PHASE_SEALED) return;
    const struct {
        const char *name, *help;
        uint64_t value;
    } gauges[] = {{"heraclius_members_voting", "members of the cluster that vote, as this node sees it", votes},
                  {"heraclius_members_unknown", "members of which this node does not know whether they vote", unknown},
                  {"heraclius_quorum", "how many have to vote for anything to be decided", replica->members - replica->faults}};
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++) {
        json_t *labels = json_pack("{s:o,s:o}", "system", hex(status->system_id, 16), "cluster", cluster_text(replica->cluster));
        metric(list, gauges[i].name, "gauge", gauges[i].help, labels, gauges[i].value);
    }
}

static void put_gauges(json_t *list, const struct status_node *status) {
    const struct status_replica *replica = &status->replica;
    metric(list, "heraclius_ready", "gauge", "1 if the node votes and is not behind", NULL, status->ready);
    put_quorum(list, status);
    json_t *evidence = control_evidence_json(status->data);
    metric(list, "heraclius_evidence_files", "gauge", "files of evidence that lie in the node's data", NULL,
           json_array_size(json_object_get(evidence, "evidence")));
    json_decref(evidence);
    metric(list, "heraclius_epoch", "gauge", "epoch", NULL, replica->epoch);
    metric(list, "heraclius_view", "gauge", "view", NULL, replica->view);
    metric(list, "heraclius_leader", "gauge", "index of the leader", NULL, replica->leader);
    metric(list, "heraclius_height", "gauge", "height of the newest final block", NULL, replica->final_height);
    metric(list, "heraclius_checkpoint_height", "gauge", "height of the newest checkpoint", NULL, replica->checkpoint_height);
    metric(list, "heraclius_queue_depth", "gauge", "depth of a queue", json_pack("{s:s}", "queue", "inputs_waiting"), replica->inputs_waiting);
    metric(list, "heraclius_queue_depth", "gauge", "", json_pack("{s:s}", "queue", "inputs_held"), replica->inputs_held);
    metric(list, "heraclius_queue_depth", "gauge", "", json_pack("{s:s}", "queue", "blocks_open"), replica->blocks_open);
    metric(list, "heraclius_queue_depth", "gauge", "", json_pack("{s:s}", "queue", "sends_held"), replica->sends_held);
    metric(list, "heraclius_input_bytes", "gauge", "bytes of inputs held", NULL, replica->input_bytes);
    metric(list, "heraclius_links_up", "gauge", "links that are up", NULL, status->links_up);
    metric(list, "heraclius_clients_connected", "gauge", "clients with a link to this node", NULL, replica->clients_connected);
    metric(list, "heraclius_wal_bytes", "gauge", "the write-ahead store's file", NULL, status->wal_bytes);
    metric(list, "heraclius_wal_map_bytes", "gauge", "the most that it may grow to", NULL, status->wal_map_bytes);
    metric(list, "heraclius_pruned_height", "gauge", "height up to which blocks were pruned", NULL, replica->pruned_height);
    metric_put(list, "heraclius_clock_difference_ms", "gauge", "this host's calendar less the cluster's time", NULL,
               json_integer((json_int_t)status->clock_difference_ms));
    metric(list, "heraclius_clock_differs_total", "counter", "how often that was told to be too much", NULL, status->clock_differs);
    metric(list, "heraclius_enrolment", "gauge", "number of the newest enrolment", NULL, replica->enrolment);
    metric(list, "heraclius_clients_enrolled", "gauge", "clients on record, revoked ones too", NULL, replica->clients_enrolled);
    metric(list, "heraclius_resident_bytes", "gauge", "resident memory", NULL, status->resident_bytes);
    if (status->memory_limit_bytes > 0)
        metric(list, "heraclius_memory_limit_bytes", "gauge", "memory that the node can have: the machine's, or its control group's", NULL,
               status->memory_limit_bytes);
    for (uint32_t i = 0; i < status->budget_count; i++) {
        metric(list, "heraclius_memory_budget_bytes", "gauge", i == 0 ? "the most that a part of the node may come to use" : "",
               json_pack("{s:s}", "part", status->budget[i].name), status->budget[i].value);
    }
    for (uint32_t i = 0; i < status->resident_count; i++) {
        metric(list, "heraclius_memory_resident_bytes", "gauge", i == 0 ? "resident memory by part" : "",
               json_pack("{s:s}", "part", status->resident[i].name), status->resident[i].value);
    }
    metric(list, "heraclius_decisions_total", "counter", "blocks that became final", NULL, replica->decisions);
    metric(list, "heraclius_inputs_decided_total", "counter", "inputs in final blocks", NULL, replica->inputs_decided);
    metric(list, "heraclius_view_changes_total", "counter", "views left by time-out", NULL, replica->view_changes);
    metric(list, "heraclius_timeout_strain", "gauge", "doublings of the time-outs, since no view fitted them", NULL, replica->strain);
    metric(list, "heraclius_propose_hold_microseconds", "gauge", "what a leader whose CPUs are busy lets pass between proposals", NULL,
           replica->hold_us);
    metric(list, "heraclius_cpu_lack_permille", "gauge", "how much a node that proposes lacks CPU: busy CPUs, and waits for them", NULL,
           replica->load_permille);
    metric(list, "heraclius_proposals_total", "counter", "proposals made", NULL, replica->proposals);
    metric(list, "heraclius_evidence_total", "counter", "files of evidence kept since it was started", NULL, replica->evidence);
    metric(list, "heraclius_fetches_total", "counter", "blocks and inputs asked for", NULL, replica->fetches);
}

static void put_seconds(json_t *list, const char *name, const char *help, json_t *labels, uint64_t ns) {
    metric_put(list, name, "counter", help, labels, json_real((double)ns / 1e9));
}

/* A histogram of times (`unit` 1e6: it is in microseconds, told in seconds) or of counts (`unit` 1). */
static void put_histogram(json_t *list, const char *name, const char *help, const struct histogram *histogram, double unit) {
    char bucket[64], text[64];
    snprintf(bucket, sizeof bucket, "%s_bucket", name);
    for (unsigned i = 0; i < HISTOGRAM_LIMITS; i++) {
        uint64_t limit = unit > 1 ? UINT64_C(125) << i : UINT64_C(1) << (i + 1);
        snprintf(text, sizeof text, unit > 1 ? "%.6f" : "%.0f", (double)limit / unit);
        metric(list, bucket, "histogram", i == 0 ? help : "", json_pack("{s:s}", "le", text), histogram_below(histogram, limit));
    }
    metric(list, bucket, "histogram", "", json_pack("{s:s}", "le", "+Inf"), histogram->count);
    snprintf(text, sizeof text, "%s_sum", name);
    metric_put(list, text, "histogram", "", NULL, json_real((double)histogram->sum / unit));
    snprintf(text, sizeof text, "%s_count", name);
    metric(list, text, "histogram", "", NULL, histogram->count);
}

static void put_histograms(json_t *list, const struct status_node *status) {
    const struct status_replica *replica = &status->replica;
    put_histogram(list, "heraclius_commit_seconds", "from proposal to final and durable", &replica->commit_us, 1e6);
    put_histogram(list, "heraclius_input_seconds", "at a leader, from an input held to its proposal", &replica->input_us, 1e6);
    put_histogram(list, "heraclius_prepare_seconds", "from proposal to prepared", &replica->prepare_us, 1e6);
    put_histogram(list, "heraclius_finalize_seconds", "from prepared to final", &replica->finalize_us, 1e6);
    put_histogram(list, "heraclius_publish_seconds", "from final to durable and told", &replica->publish_us, 1e6);
    put_histogram(list, "heraclius_execute_seconds", "a block executed", &replica->execute_us, 1e6);
    put_histogram(list, "heraclius_wal_seconds", "from the storage thread's queue to durable", &status->wal_us, 1e6);
    put_histogram(list, "heraclius_checkpoint_seconds", "a checkpoint, from begun to durable", &replica->checkpoint_us, 1e6);
    put_histogram(list, "heraclius_block_operations", "operations in a block with any", &replica->block_ops, 1);
}

static void put_costs(json_t *list, const struct status_node *status) {
    for (uint32_t i = 0; i < status->cost_count; i++)
        put_seconds(list, "heraclius_cost_seconds_total", i == 0 ? "CPU time by component of the work" : "",
                    json_pack("{s:s}", "component", status->costs[i].name), status->costs[i].ns);
    for (uint32_t i = 0; i < status->cost_count; i++)
        metric(list, "heraclius_cost_events_total", "counter", i == 0 ? "how often, as each component counts" : "",
               json_pack("{s:s}", "component", status->costs[i].name), status->costs[i].events);
    for (uint32_t i = 0; i < status->cost_count; i++)
        metric(list, "heraclius_cost_bytes_total", "counter", i == 0 ? "bytes, where a component counts them" : "",
               json_pack("{s:s}", "component", status->costs[i].name), status->costs[i].bytes);
    for (uint32_t i = 0; i < status->cpu_count; i++)
        put_seconds(list, "heraclius_thread_cpu_seconds_total", i == 0 ? "CPU time by thread" : "",
                    json_pack("{s:s}", "thread", status->cpu[i].name), status->cpu[i].ns);
    metric(list, "heraclius_page_faults_total", "counter", "page faults of the process", NULL, status->page_faults);
    metric(list, "heraclius_context_switches_total", "counter", "how often a thread gave its CPU up, by why", json_pack("{s:s}", "kind", "voluntary"),
           status->switches_voluntary);
    metric(list, "heraclius_context_switches_total", "counter", "", json_pack("{s:s}", "kind", "forced"), status->switches_forced);
}

static void put_scrub_metrics(json_t *list, const struct status_node *status) {
    const struct status_replica *replica = &status->replica;
    const char *records = "heraclius_scrub_records_total", *rounds = "heraclius_scrub_rounds_total";
    metric(list, records, "counter", "records read and hashed again, by store", json_pack("{s:s}", "store", "memory"), replica->scrub_records);
    metric(list, records, "counter", "", json_pack("{s:s}", "store", "wal"), status->scrub_wal_records);
    metric(list, records, "counter", "", json_pack("{s:s}", "store", "state"), status->scrub_state_records);
    metric(list, rounds, "counter", "whole rounds of that, by store", json_pack("{s:s}", "store", "memory"), replica->scrub_rounds);
    metric(list, rounds, "counter", "", json_pack("{s:s}", "store", "wal"), status->scrub_wal_rounds);
    metric(list, rounds, "counter", "", json_pack("{s:s}", "store", "state"), status->scrub_state_rounds);
    metric(list, "heraclius_corruption_found_total", "counter", "what a scrub or a read found damaged", NULL, replica->scrub_found);
    metric(list, "heraclius_corruption_repaired_total", "counter", "what of that was repaired while the node ran on", NULL, replica->scrub_repaired);
    metric(list, "heraclius_opened_anew_total", "counter", "how often the node opened itself anew since something was damaged", NULL,
           status->opened_anew);
}

json_t *control_metrics_json(const struct status_node *status) {
    const struct status_replica *replica = &status->replica;
    json_t *list = json_array();
    put_gauges(list, status);
    put_scrub_metrics(list, status);
    for (int i = 0; i < STATUS_DROP_COUNT; i++) {
        metric(list, "heraclius_dropped_total", "counter", i == 0 ? "input dropped, by cause" : "",
               json_pack("{s:s}", "cause", status_drop_name((enum status_drop)i)), replica->drops[i]);
    }
    for (int i = 0; i < STATUS_ATTACK_COUNT; i++) {
        metric(list, "heraclius_attacks_total", "counter", i == 0 ? "attacks seen, by kind" : "",
               json_pack("{s:s}", "kind", status_attack_name((enum status_attack)i)), replica->attacks[i]);
    }
    put_histograms(list, status);
    put_costs(list, status);
    for (uint32_t i = 0; i < status->net_counter_count; i++) {
        metric(list, "heraclius_counter", "untyped", i == 0 ? "counters of links and store" : "",
               json_pack("{s:s}", "counter", status->net_counters[i].name), status->net_counters[i].value);
    }
    for (uint32_t i = 0; i < status->counter_count; i++)
        metric(list, "heraclius_counter", "untyped", "", json_pack("{s:s}", "counter", status->counters[i].name), status->counters[i].value);
    for (uint32_t i = 0; i < status->thread_count; i++) {
        if (status->threads[i].running < 0) continue;
        metric(list, "heraclius_thread_cpu", "gauge", i == 0 ? "CPU on which a thread last ran" : "",
               json_pack("{s:s}", "thread", status->threads[i].name), (uint64_t)status->threads[i].running);
    }
    return json_pack("{s:s,s:o}", "node", status->name, "metrics", list);
}
