/** Asks the emulator's Secrets Manager. @param url of the emulator */
export function secretsManager(url: string, target: string, body: object): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": `secretsmanager.${target}`,
      authorization: "AWS4-HMAC-SHA256 Credential=AKIAX/20260101/eu-west-1/secretsmanager/aws4_request, Signature=0",
    },
    body: JSON.stringify(body),
  });
}
