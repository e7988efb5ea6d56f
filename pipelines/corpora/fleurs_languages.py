"""The 102 configurations of FLEURS, by the groups of languages its paper reports on.

Source: the loading script of `google/fleurs` on the Hugging Face hub; the paper (arXiv 2205.12446)
has the groups in its section 2 and results by group in section 4.
"""

from __future__ import annotations

GROUPS = {
    "western_european_we": (
        "ast_es bs_ba ca_es hr_hr da_dk nl_nl en_us fi_fi fr_fr gl_es de_de el_gr hu_hu is_is "
        "ga_ie it_it kea_cv lb_lu mt_mt nb_no oc_fr pt_br es_419 sv_se cy_gb"
    ),
    "eastern_european_ee": (
        "hy_am be_by bg_bg cs_cz et_ee ka_ge lv_lv lt_lt mk_mk pl_pl ro_ro ru_ru sr_rs sk_sk "
        "sl_si uk_ua"
    ),
    "central_asia_middle_north_african_cmn": (
        "ar_eg az_az he_il kk_kz ky_kg mn_mn ps_af fa_ir ckb_iq tg_tj tr_tr uz_uz"
    ),
    "sub_saharan_african_ssa": (
        "af_za am_et ff_sn lg_ug ha_ng ig_ng kam_ke ln_cd luo_ke nso_za ny_mw om_et sn_zw so_so "
        "sw_ke umb_ao wo_sn xh_za yo_ng zu_za"
    ),
    "south_asian_sa": (
        "as_in bn_in gu_in hi_in kn_in ml_in mr_in ne_np or_in pa_in sd_in ta_in te_in ur_pk"
    ),
    "south_east_asian_sea": ("my_mm ceb_ph fil_ph id_id jv_id km_kh lo_la ms_my mi_nz th_th vi_vn"),
    "chinese_japanase_korean_cjk": "cmn_hans_cn yue_hant_hk ja_jp ko_kr",
}
"""The configurations of each group; the names are FLEURS' own, with their spelling."""

CONFIGS = {config: group for group, configs in GROUPS.items() for config in sorted(configs.split())}
"""The group of each configuration."""

LANGUAGE_OF = {
    config: {"cmn_hans_cn": "zh", "yue_hant_hk": "yue"}.get(config, config.partition("_")[0])
    for config in CONFIGS
}
"""The key of `pipelines.utterance.LANGUAGES` for each configuration."""


def choose(names: tuple[str, ...]) -> list[str]:
    """The configurations meant by names of configurations, languages or groups; all by none.

    Raises:
        ValueError: a name is none of these.
    """
    chosen: list[str] = []
    for name in names or tuple(GROUPS):
        found = [c for c in CONFIGS if name in (c, LANGUAGE_OF[c], CONFIGS[c])]
        if not found:
            raise ValueError(
                f"FLEURS has no language {name!r}: give a configuration (fr_fr), a language (fr) "
                f"or one of the groups {', '.join(GROUPS)}"
            )
        chosen += found
    return list(dict.fromkeys(chosen))
