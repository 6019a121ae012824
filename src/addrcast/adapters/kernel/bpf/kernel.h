/* What the programs need of the kernel's interface, so that the object depends on no installed header.
 * Source: include/uapi/linux/bpf.h, if_ether.h, in6.h. */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

#define htons(value) ((__u16)__builtin_bswap16(value))
#define htonl(value) ((__u32)__builtin_bswap32(value))

/* struct __sk_buff as far as it is used; the verifier rewrites accesses by offset. */
struct __sk_buff {
    __u32 len, pkt_type, mark, queue_mapping;
    __u32 protocol; /* in network order */
    __u32 vlan_present, vlan_tci, vlan_proto, priority;
    __u32 ingress_ifindex, ifindex;
};

struct bpf_tunnel_key {
    __u32 tunnel_id;
    union {
        __u32 remote_ipv4; /* in host order, unlike the other */
        __u32 remote_ipv6[4];
    };
    __u8 tunnel_tos, tunnel_ttl;
    __u16 tunnel_ext;
    __u32 tunnel_label;
    union {
        __u32 local_ipv4;
        __u32 local_ipv6[4];
    };
};

enum { TCX_DROP = 2 };
enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6 };
enum { BPF_F_NO_PREALLOC = 1 };
enum { BPF_F_TUNINFO_IPV6 = 1, BPF_F_ZERO_CSUM_TX = 2 };
enum { BPF_ADJ_ROOM_MAC = 1 };

static void *(*map_lookup)(const void *map, const void *key) = (void *)1;
static long (*skb_store_bytes)(struct __sk_buff *, __u32 offset, const void *from, __u32 len, __u64 flags) = (void *)9;
static long (*l3_csum_replace)(struct __sk_buff *, __u32 offset, __u64 from, __u64 to, __u64 size) = (void *)10;
static long (*skb_get_tunnel_key)(struct __sk_buff *, struct bpf_tunnel_key *, __u32 size, __u64 flags) = (void *)20;
static long (*skb_set_tunnel_key)(struct __sk_buff *, struct bpf_tunnel_key *, __u32 size, __u64 flags) = (void *)21;
static long (*redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*skb_load_bytes)(const struct __sk_buff *, __u32 offset, void *to, __u32 len) = (void *)26;
static __s64 (*csum_diff)(const void *from, __u32 from_size, const void *to, __u32 to_size, __u32 seed) = (void *)28;
static long (*skb_change_tail)(struct __sk_buff *, __u32 len, __u64 flags) = (void *)38;
static long (*skb_change_head)(struct __sk_buff *, __u32 len, __u64 flags) = (void *)43;
static long (*skb_adjust_room)(struct __sk_buff *, __s32 len, __u32 mode, __u64 flags) = (void *)50;

enum { ETH_P_IP = 0x0800, ETH_P_ARP = 0x0806, ETH_P_IPV6 = 0x86DD };
enum { IPPROTO_ICMP = 1, IPPROTO_ICMPV6 = 58 };

struct ethernet {
    __u8 to[6], from[6];
    __u16 type;
} __attribute__((packed));

struct arp {
    __u16 hardware, protocol;
    __u8 hardware_len, protocol_len;
    __u16 operation;
    __u8 sender_mac[6];
    __u32 sender;
    __u8 target_mac[6];
    __u32 target;
} __attribute__((packed));

struct ipv4 {
    __u8 version_words, tos;
    __u16 len, id, fragment;
    __u8 ttl, protocol;
    __u16 checksum;
    __u32 from, to;
};

struct ipv6 {
    __u32 version_flow;
    __u16 payload_len;
    __u8 next_header, hop_limit;
    __u32 from[4], to[4];
};
