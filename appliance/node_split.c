#include "appliance/node.h"
int node_run_split(struct node *node) { return node_run_fused(node); }
