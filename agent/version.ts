/** The version that this agent tells its hub and its operator. */
import packageJson from "../package.json" with { type: "json" };

export const AGENT_VERSION: string = packageJson.version;
