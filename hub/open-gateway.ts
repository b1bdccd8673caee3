/** Opens the way on which terminals hold a connection, as the configuration says. */
import type { HubConfig } from "./config.ts";
import type { DeviceGateway } from "./device-gateway.ts";
import { type MqttGatewayOptions, openMqttGateway } from "./mqtt-gateway.ts";

export type GatewayParts = Omit<MqttGatewayOptions, "host" | "port"> & { readonly config: HubConfig };

/** Throws Fault `transport.failed`. */
export async function openDeviceGateway({ config, ...parts }: GatewayParts): Promise<DeviceGateway> {
  const { host, mqttPort } = config.listen;
  switch (config.ingest.kind) {
    case "embedded":
      return await openMqttGateway({ ...parts, host, port: mqttPort });
  }
}
