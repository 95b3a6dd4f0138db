#!/usr/bin/env bash
# The one node of the test cluster. It runs as process 1 of process, mount and network namespaces of its own, so that
# whatever it starts, mounts or routes is gone when it is. cluster.ts starts it, with this machine's network as file 3.
# Reads STATE, BIN, CRDS, HOST_ADDRESS, NODE_ADDRESS, PODS, SERVICES, FIRST_SERVICE, CGROUP, INGRESS_PORT, ARCHIVES.
set -euo pipefail

# Paths are the same for each cluster, and short: the path of a socket may have 107 characters.
place=/mnt/cluster
private_folders() {
  mount --make-rprivate /
  mount -t tmpfs tmpfs /mnt
  mkdir -p "$place" /mnt/bin /mnt/crds
  mount --bind "$STATE" "$place"
  mount --bind "$BIN" /mnt/bin
  mount --bind "$CRDS" /mnt/crds
  mkdir -p "$place"/{log,pki,cni,etcd,containerd,kubelet,var-lib,var-log}
  for archive in $ARCHIVES; do
    mkdir -p /mnt/images
    touch "/mnt/images/$(basename "$archive")"
    mount --bind "$archive" "/mnt/images/$(basename "$archive")"
  done
  # Where these programs write whatever they are told.
  mount -t tmpfs tmpfs /run
  mkdir -p /run/netns /run/lock
  mount --bind "$place/var-lib" /var/lib
  mount --bind "$place/var-log" /var/log
  export PATH=/mnt/bin:$PATH
}

network() {
  ip link set lo up
  until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
  ip addr add "$NODE_ADDRESS/30" dev eth0
  ip link set eth0 up
  ip route add default via "$HOST_ADDRESS"
  # An address of a service that no rule catches ends here.
  ip link add services type bridge
  ip link set services up
  ip route add "$SERVICES" dev services
  sysctl -qw net.ipv4.ip_forward=1
  cat >"$place/cni/10-pods.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/cni",
            "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
}

certificates() {
  cd "$place/pki"
  [ ! -f done ] || return 0
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  openssl req -x509 "${key[@]}" -days 3650 -subj /CN=test-cluster -keyout ca.key -out ca.crt 2>/dev/null
  certificate apiserver /CN=kube-apiserver \
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:$FIRST_SERVICE,IP:$NODE_ADDRESS"
  certificate admin /O=system:masters/CN=admin
  certificate controllers /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate node /O=system:nodes/CN=system:node:node1 "DNS:node1,IP:$NODE_ADDRESS"
  certificate proxy /CN=system:kube-proxy
  openssl ecparam -name prime256v1 -genkey -noout -out accounts.key
  openssl ec -in accounts.key -pubout -out accounts.pub 2>/dev/null
  for name in admin controllers scheduler node proxy; do kubeconfig "$name"; done
  touch done
}

certificate() { # NAME SUBJECT [OTHER-NAMES]
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  printf 'subjectAltName=%s\nextendedKeyUsage=clientAuth,serverAuth\n' "${3:-DNS:$1}" >"$1.extensions"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 \
    -extfile "$1.extensions" -out "$1.crt" 2>/dev/null
}

kubeconfig() { # NAME
  cat >"$place/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: $1}}]
clusters:
  - name: test
    cluster: {server: "https://$NODE_ADDRESS:6443", certificate-authority-data: $(base64 -w0 ca.crt)}
users:
  - name: $1
    user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}
YAML
}

start() { # NAME COMMAND…
  local name=$1
  shift
  "$@" >"$place/log/$name.log" 2>&1 </dev/null 3<&- &
}

containers() {
  # Without CAP_SYS_RESOURCE, a container that asks for a lower OOM score can't be made.
  cat >"$place/containerd.toml" <<TOML
version = 2
root = "$place/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/local/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$place/cni"
TOML
  start containerd containerd --config "$place/containerd.toml"
  until ctr version >/dev/null 2>&1; do sleep 0.1; done
  for archive in /mnt/images/*; do
    ctr --namespace k8s.io images import "$archive" >>"$place/log/images.log" 2>&1
  done
}

control_plane() {
  local etcd=http://127.0.0.1:2379 pki=$place/pki
  start etcd etcd --data-dir "$place/etcd" --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
    --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync --log-level warn
  start apiserver kube-apiserver --etcd-servers="$etcd" --bind-address="$NODE_ADDRESS" --secure-port=6443 \
    --advertise-address="$NODE_ADDRESS" --kubelet-preferred-address-types=InternalIP \
    --service-cluster-ip-range="$SERVICES" --allow-privileged --authorization-mode=Node,RBAC \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --client-ca-file="$pki/ca.crt" --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$pki/accounts.pub" --service-account-signing-key-file="$pki/accounts.key" \
    --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key"
  export KUBECONFIG=$place/admin.kubeconfig
  until kubectl get --raw /readyz >/dev/null 2>&1; do sleep 0.1; done
  start controllers kube-controller-manager --kubeconfig="$place/controllers.kubeconfig" --leader-elect=false \
    --service-account-private-key-file="$pki/accounts.key" --root-ca-file="$pki/ca.crt" \
    --use-service-account-credentials --bind-address=127.0.0.1
  start scheduler kube-scheduler --kubeconfig="$place/scheduler.kubeconfig" --leader-elect=false \
    --bind-address=127.0.0.1
}

kubelet_and_names() {
  # cgroupRoot: another kubelet on this machine would end what it does not know below the same one.
  cat >"$place/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: $CGROUP
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
address: $NODE_ADDRESS
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $place/pki/ca.crt}}
authorization: {mode: Webhook}
clusterDNS: [$NODE_ADDRESS]
clusterDomain: cluster.local
evictionHard: {memory.available: 100Mi}
imageGCHighThresholdPercent: 100
tlsCertFile: $place/pki/node.crt
tlsPrivateKeyFile: $place/pki/node.key
resolvConf: $place/resolv.conf
YAML
  start kubelet kubelet --config="$place/kubelet.yaml" --kubeconfig="$place/node.kubeconfig" \
    --hostname-override=node1 --node-ip="$NODE_ADDRESS" --root-dir="$place/kubelet"
  start proxy kube-proxy --kubeconfig="$place/proxy.kubeconfig" --hostname-override=node1 --proxy-mode=iptables \
    --cluster-cidr="$PODS" --conntrack-max-per-core=0 --bind-address=127.0.0.1
  cat >"$place/Corefile" <<CORE
.:53 {
  bind $NODE_ADDRESS
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $place/admin.kubeconfig
    pods insecure
  }
  forward . $place/resolv.conf
  cache 30
}
CORE
  start coredns coredns -conf "$place/Corefile"
}

# Traefik answers on this machine's loopback address, and reaches the pods over the link.
ingress() {
  cat >"$place/traefik.yaml" <<YAML
global: {checkNewVersion: false, sendAnonymousUsage: false}
entryPoints: {web: {address: "127.0.0.1:$INGRESS_PORT"}}
providers:
  providersThrottleDuration: 100ms
  kubernetesGateway: {}
  kubernetesIngress: {ingressClass: traefik}
  kubernetesCRD: {}
YAML
  kubectl apply --server-side --filename /mnt/crds --recursive
  kubectl wait --for=condition=Established crd --all --timeout=60s
  kubectl apply --filename - <<YAML
{apiVersion: v1, kind: Namespace, metadata: {name: traefik-test}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: traefik},
 spec: {controllerName: traefik.io/gateway-controller}}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: traefik},
 spec: {controller: traefik.io/ingress-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: traefik, namespace: traefik-test}
spec:
  gatewayClassName: traefik
  listeners: [{name: web, protocol: HTTP, port: $INGRESS_PORT, allowedRoutes: {namespaces: {from: All}}}]
YAML
  nsenter --net=/proc/self/fd/3 traefik --configFile="$place/traefik.yaml" >"$place/log/traefik.log" 2>&1 </dev/null &
}

private_folders
network
certificates
containers
control_plane
kubelet_and_names
ingress
until kubectl get node node1 2>/dev/null | grep -q ' Ready'; do sleep 0.2; done
kubectl wait --for=condition=Programmed gateway/traefik --namespace traefik-test --timeout=60s
touch "$place/ready"

# The node ends with the first of its programs: half a cluster would make tests fail in odd ways.
wait -n || true
echo "a program of the node has ended" >&2
