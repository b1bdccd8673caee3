# Sourced by the scripts: puts the project's Node and tools on PATH. Costs a few milliseconds and starts no Node.
# Sets TILLWAY_ROOT and TILLWAY_NODE_HOME; returns 1 when scripts/setup has not run yet.

TILLWAY_ROOT=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")

# The folder that scripts/setup found or installed: it holds bin/node and the headers of that same Node.
TILLWAY_NODE_HOME=""
if [ -r "$TILLWAY_ROOT/.cache/node-home" ]; then
  TILLWAY_NODE_HOME=$(<"$TILLWAY_ROOT/.cache/node-home")
fi
# Without the first test, no folder at all would pass for the machine's own /bin/node.
if [ -z "$TILLWAY_NODE_HOME" ] || [ ! -x "$TILLWAY_NODE_HOME/bin/node" ]; then
  echo "tillway: no Node is set up for this checkout; run $TILLWAY_ROOT/scripts/setup" >&2
  return 1
fi
export PATH="$TILLWAY_NODE_HOME/bin:$TILLWAY_ROOT/node_modules/.bin:$PATH"
# Addons are compiled against these headers. A user's npm configuration may name those of another Node, and an addon
# built with them crashes at the first call. This spelling outranks npm_config_nodedir, and npm does not warn of it.
export npm_package_config_node_gyp_nodedir="$TILLWAY_NODE_HOME"
