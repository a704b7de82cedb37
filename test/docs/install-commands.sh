# Runs before a block of shell of the pages: programs that would reach AWS, a cluster or a registry answer from here, and
# helm install renders the chart. In: HELM (its path), VALUES (the stack's HelmValues), RENDERED (a file for the objects).
issuer=https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE

command_not_found_handle() {
  case "$*" in
    "helm install "*) render "${@:3}" ;;
    *"OutputKey=='HelmValues'"* | "terraform output -raw helm_values") cat "$VALUES" ;;
    *"OutputKey=='RoleArn'"*) echo arn:aws:iam::123456789012:role/keyferry ;;
    *"'PolicyArn'"*) printf 'arn:aws:iam::123456789012:policy/a\tarn:aws:iam::123456789012:policy/b\n' ;;
    *oidc.issuer* | *serviceAccountIssuer* | "jq "*) echo "$issuer" ;;
    "skopeo inspect "*) echo "sha256:$(printf '%064d' 1)" ;;
    "xargs "*) cat > /dev/null ;;
    "kubectl apply -f "*) test -f "$4" ;;
  esac
}

# helm template takes the flags of helm install. The chart of a registry is the one of this folder.
render() {
  local arguments=()
  for argument in "$@"; do
    case "$argument" in
      oci://*) arguments+=(helm/keyferry) ;;
      *) arguments+=("$argument") ;;
    esac
  done
  "$HELM" template "${arguments[@]}" > "$RENDERED"
}
