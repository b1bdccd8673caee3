/** The version of this software, as agent and hub tell each other. `package.json` says the same, which a test holds. */
export const TILLWAY_VERSION = "0.1.0";
