/** The version that this agent tells its hub and its operator: that of the package. */
export const AGENT_VERSION = "0.1.0";
