/* The packet programs of a host: from an instance to where its record says, and from the tunnel to an instance.
 *
 * Invariants: a packet leaves an instance's interface only from an address that is the instance's own; it comes to
 * an instance only with the VNI of its account. What neither program knows is dropped, never handed to the host's
 * own stack. All state is in the maps, so programs can be replaced while packets pass. */
#include "kernel.h"

enum { FAMILY_SHIFT = 24, IPV4 = 4, IPV6 = 6, ETH_LEN = 14, TUNNEL_TTL = 64 };

struct map {
    __u32 type, key_size, value_size, max_entries, flags;
};

struct key {
    __u32 vni_family; /* VNI in the low 24 bits, 4 or 6 above */
    __u32 address[4]; /* IPv4: the first, then zeros */
};

struct target {
    __u32 family;
    __u32 address[4];
};

struct instance {
    __u32 ifindex;
    __u8 mac[6];
    __u8 unused[2];
};

enum drop { MALFORMED, SPOOFED, NO_ENTRY, NOT_HERE, UNANSWERED, DROP_REASONS };

/* The sizes of the hash maps are bounds, set when they are made. */
struct map SEC("maps") entries = {BPF_MAP_TYPE_HASH, sizeof(struct key), sizeof(struct target), 1, BPF_F_NO_PREALLOC};
struct map SEC("maps") accounts = {BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_NO_PREALLOC};
struct map SEC("maps") instances = {BPF_MAP_TYPE_HASH, sizeof(struct key), sizeof(struct instance), 1, BPF_F_NO_PREALLOC};
struct map SEC("maps") ports = {BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_NO_PREALLOC}; /* interface -> VNI */
struct map SEC("maps") tunnel = {BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0};               /* its interface */
struct map SEC("maps") drops = {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, DROP_REASONS, 0};

const char SEC("license") programs_license[] = "Apache-2.0";
const char SEC("source") source_sha256[] = SOURCE_SHA256;

INLINE int drop(enum drop reason)
{
    __u32 at = reason;
    __u64 *count = map_lookup(&drops, &at);

    if (count)
        (*count)++;
    return TCX_DROP;
}

INLINE void copy(void *to, const void *from, __u32 len)
{
    __builtin_memcpy(to, from, len);
}

INLINE int is_address(const __u32 address[4], __u32 first, __u32 last)
{
    return address[0] == htonl(first) && !address[1] && !address[2] && address[3] == htonl(last);
}

INLINE int is_same(const struct target *one, const struct target *other)
{
    return one->family == other->family && one->address[0] == other->address[0] &&
           one->address[1] == other->address[1] && one->address[2] == other->address[2] &&
           one->address[3] == other->address[3];
}

INLINE void gateway_mac(__u8 mac[6])
{
    mac[0] = 0x0a, mac[1] = 0x58, mac[2] = mac[3] = mac[4] = mac[5] = 0xff;
}

INLINE void mac_of(__u8 mac[6], const void *last_four_bytes)
{
    mac[0] = 0x0a, mac[1] = 0x58;
    copy(mac + 2, last_four_bytes, 4);
}

INLINE int deliver(struct __sk_buff *skb, const struct instance *instance, int has_ethernet)
{
    struct ethernet header;

    if (!has_ethernet && skb_change_head(skb, ETH_LEN, 0))
        return drop(MALFORMED);
    copy(header.to, instance->mac, 6);
    gateway_mac(header.from);
    header.type = skb->protocol;
    if (skb_store_bytes(skb, 0, &header, sizeof(header), 0))
        return drop(MALFORMED);
    return redirect(instance->ifindex, 0);
}

INLINE int encapsulate(struct __sk_buff *skb, __u32 vni, const struct target *target)
{
    struct bpf_tunnel_key outer = {.tunnel_id = vni, .tunnel_ttl = TUNNEL_TTL};
    __u64 flags = BPF_F_ZERO_CSUM_TX;
    __u32 zero = 0, *device = map_lookup(&tunnel, &zero);

    if (!device)
        return drop(MALFORMED);
    if (target->family == IPV6) {
        flags = BPF_F_TUNINFO_IPV6; /* a datagram over IPv6 needs its checksum */
        copy(outer.remote_ipv6, target->address, 16);
    } else {
        outer.remote_ipv4 = htonl(target->address[0]);
    }
    if (skb_set_tunnel_key(skb, &outer, sizeof(outer), flags))
        return drop(MALFORMED);
    return redirect(*device, 0);
}

/* Whether an interface's instance may ask for the neighbour of an address: it is known, and is not its own. */
INLINE int is_neighbour(struct __sk_buff *skb, const struct key *key)
{
    struct instance *instance = map_lookup(&instances, key);

    if (instance)
        return instance->ifindex != skb->ifindex;
    return map_lookup(&entries, key) != 0;
}

INLINE int answer_arp(struct __sk_buff *skb, __u32 vni)
{
    struct key key = {.vni_family = vni | IPV4 << FAMILY_SHIFT};
    struct ethernet header = {.type = htons(ETH_P_ARP)};
    struct arp arp;
    __u32 sender;

    if (skb_load_bytes(skb, ETH_LEN, &arp, sizeof(arp)))
        return drop(MALFORMED);
    if (arp.operation != htons(1) || arp.hardware != htons(1) || arp.protocol != htons(ETH_P_IP))
        return drop(UNANSWERED);
    key.address[0] = arp.target;
    copy(header.to, arp.sender_mac, 6);
    if (arp.target == htonl(0xa9fe0101)) /* 169.254.1.1 */
        gateway_mac(header.from);
    else if (is_neighbour(skb, &key))
        mac_of(header.from, &arp.target);
    else
        return drop(UNANSWERED);
    arp.operation = htons(2);
    copy(arp.target_mac, arp.sender_mac, 6);
    copy(arp.sender_mac, header.from, 6);
    sender = arp.sender;
    arp.sender = arp.target;
    arp.target = sender;
    if (skb_store_bytes(skb, 0, &header, sizeof(header), 0) || skb_store_bytes(skb, ETH_LEN, &arp, sizeof(arp), 0))
        return drop(MALFORMED);
    return redirect(skb->ifindex, 0);
}

INLINE __u16 folded(__s64 sum)
{
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

struct advertisement {
    __u8 type, code;
    __u16 checksum;
    __u8 flags, reserved[3];
    __u32 target[4];
    __u8 option, option_words, mac[6];
};

struct summed {
    __u32 from[4], to[4];
    __u32 len, next_header;
    struct advertisement advertisement;
};

/* RFC 4861, sections 4.3, 4.4 and 7.2.4; RFC 8200, section 8.1 for the checksum. */
INLINE int answer_solicitation(struct __sk_buff *skb, __u32 vni, struct ipv6 *ip)
{
    struct key key = {.vni_family = vni | IPV6 << FAMILY_SHIFT};
    struct summed all = {.len = htonl(sizeof(struct advertisement)), .next_header = htonl(IPPROTO_ICMPV6)};
    struct advertisement *answer = &all.advertisement;
    struct ethernet header;

    if (skb_load_bytes(skb, 0, &header, sizeof(header)) ||
        skb_load_bytes(skb, ETH_LEN + sizeof(*ip) + 8, key.address, 16))
        return drop(MALFORMED);
    if (is_address(ip->from, 0, 0)) /* is anybody else here? no */
        return drop(UNANSWERED);
    answer->flags = 0x60; /* solicited, override */
    copy(header.to, header.from, 6);
    if (is_address(key.address, 0xfe800000, 1)) {
        answer->flags |= 0x80; /* router */
        gateway_mac(header.from);
    } else if (is_neighbour(skb, &key)) {
        mac_of(header.from, key.address + 3);
    } else {
        return drop(UNANSWERED);
    }
    answer->type = 136;
    answer->option = 2; /* target link-layer address */
    answer->option_words = 1;
    copy(answer->target, key.address, 16);
    copy(answer->mac, header.from, 6);
    copy(all.from, key.address, 16);
    copy(all.to, ip->from, 16);
    answer->checksum = folded(csum_diff(0, 0, &all, sizeof(all), 0));
    copy(ip->to, all.to, 16);
    copy(ip->from, all.from, 16);
    ip->payload_len = htons(sizeof(*answer));
    if (skb_change_tail(skb, ETH_LEN + sizeof(*ip) + sizeof(*answer), 0) ||
        skb_store_bytes(skb, 0, &header, sizeof(header), 0) ||
        skb_store_bytes(skb, ETH_LEN, ip, sizeof(*ip), 0) ||
        skb_store_bytes(skb, ETH_LEN + sizeof(*ip), answer, sizeof(*answer), 0))
        return drop(MALFORMED);
    return redirect(skb->ifindex, 0);
}

INLINE int is_own(struct __sk_buff *skb, const struct key *from)
{
    struct instance *instance = map_lookup(&instances, from);

    return instance && instance->ifindex == skb->ifindex;
}

INLINE int leave(struct __sk_buff *skb, __u32 vni, const struct key *to)
{
    struct instance *instance = map_lookup(&instances, to);
    struct target *target;

    if (instance) /* before its record, which may not have come to this host yet */
        return deliver(skb, instance, 1);
    target = map_lookup(&entries, to);
    if (!target)
        return drop(NO_ENTRY);
    return encapsulate(skb, vni, target);
}

SEC("tcx/from_instance")
int from_instance(struct __sk_buff *skb)
{
    struct key from = {}, to = {};
    __u32 ifindex = skb->ifindex, *port = map_lookup(&ports, &ifindex), vni;

    if (!port || skb->vlan_present)
        return drop(MALFORMED);
    vni = *port;
    if (skb->protocol == htons(ETH_P_ARP))
        return answer_arp(skb, vni);
    if (skb->protocol == htons(ETH_P_IP)) {
        struct ipv4 ip;

        if (skb_load_bytes(skb, ETH_LEN, &ip, sizeof(ip)))
            return drop(MALFORMED);
        from.vni_family = to.vni_family = vni | IPV4 << FAMILY_SHIFT;
        from.address[0] = ip.from;
        to.address[0] = ip.to;
    } else if (skb->protocol == htons(ETH_P_IPV6)) {
        struct ipv6 ip;
        __u8 type = 0;

        if (skb_load_bytes(skb, ETH_LEN, &ip, sizeof(ip)))
            return drop(MALFORMED);
        if (ip.next_header == IPPROTO_ICMPV6 && ip.hop_limit == 255) {
            if (skb_load_bytes(skb, ETH_LEN + sizeof(ip), &type, 1))
                return drop(MALFORMED);
            if (type == 135)
                return answer_solicitation(skb, vni, &ip);
        }
        from.vni_family = to.vni_family = vni | IPV6 << FAMILY_SHIFT;
        copy(from.address, ip.from, 16);
        copy(to.address, ip.to, 16);
    } else {
        return drop(MALFORMED);
    }
    if (!is_own(skb, &from))
        return drop(SPOOFED);
    return leave(skb, vni, &to);
}

/* A packet that goes on to another host counts as routed: two hosts that send it to each other end it so. */
INLINE int is_worn_out(struct __sk_buff *skb, __u32 family)
{
    __u16 before = 0, after;
    __u8 left;
    __u32 at = family == IPV4 ? 8 : 7; /* IPv4: TTL, then protocol; IPv6: the hop limit alone */

    if (skb_load_bytes(skb, at, &left, 1) || left <= 1)
        return 1;
    left--;
    if (family == IPV4) {
        if (skb_load_bytes(skb, at, &before, 2))
            return 1;
        after = before - 1; /* the first byte, in little-endian order */
        if (l3_csum_replace(skb, 10, before, after, 2))
            return 1;
    }
    return skb_store_bytes(skb, at, &left, 1, 0) != 0;
}

/* Where the packet came to, as the record of its instance would name it. */
INLINE int arrived(struct __sk_buff *skb, struct target *here, __u32 *vni)
{
    struct bpf_tunnel_key outer = {};

    if (!skb_get_tunnel_key(skb, &outer, sizeof(outer), 0)) {
        here->family = IPV4;
        here->address[0] = htonl(outer.local_ipv4);
    } else if (!skb_get_tunnel_key(skb, &outer, sizeof(outer), BPF_F_TUNINFO_IPV6)) {
        here->family = IPV6;
        copy(here->address, outer.local_ipv6, 16);
    } else {
        return -1;
    }
    *vni = outer.tunnel_id;
    return 0;
}

SEC("tcx/from_tunnel")
int from_tunnel(struct __sk_buff *skb)
{
    struct key to = {};
    struct target here = {}, *target;
    struct instance *instance;
    __u32 vni = 0, family;

    if (arrived(skb, &here, &vni))
        return drop(MALFORMED);
    if (skb->protocol == htons(ETH_P_IP)) {
        family = IPV4;
        if (skb_load_bytes(skb, 16, to.address, 4))
            return drop(MALFORMED);
    } else if (skb->protocol == htons(ETH_P_IPV6)) {
        family = IPV6;
        if (skb_load_bytes(skb, 24, to.address, 16))
            return drop(MALFORMED);
    } else {
        return drop(MALFORMED);
    }
    to.vni_family = vni | family << FAMILY_SHIFT;
    instance = map_lookup(&instances, &to);
    if (instance)
        return deliver(skb, instance, 0);
    /* a late packet for an instance that is elsewhere by now follows it */
    target = map_lookup(&entries, &to);
    if (!target || is_same(target, &here) || is_worn_out(skb, family))
        return drop(NOT_HERE);
    return encapsulate(skb, vni, target);
}
